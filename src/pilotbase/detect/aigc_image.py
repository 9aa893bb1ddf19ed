"""The implicit label in pictures: the XMP packet of a PNG or JPEG file, found, read, checked and written.

Sources: XMP specification part 3 (ISO 16684-1) for where a packet stands: in a PNG chunk `iTXt` with the keyword
`XML:com.adobe.xmp`, in a JPEG segment APP1 that begins with the namespace of XMP; PNG specification (third edition) section 5;
ITU-T T.81 annex B. The namespace of the label is `secondary` (see `aigc_label`).
"""

import html
import re
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import orjson

from pilotbase.detect.aigc_label import KEY, Fault, check

__all__ = ["NAMESPACE", "packet", "read_label", "write_label"]

NAMESPACE = "http://www.tc260.org.cn/ns/AIGC/1.0/"
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_IN_PNG = b"XML:com.adobe.xmp\x00\x00\x00\x00\x00"
_PNG_WORD = b"XML:com.adobe.xmp\x00"
_IN_JPEG = b"http://ns.adobe.com/xap/1.0/\x00"
_ELEMENT = re.compile(r"<([\w-]+):AIGC\b[^>]*>(.*?)</\1:AIGC\s*>", re.DOTALL)
_ATTRIBUTE = re.compile(r"""\b([\w-]+):AIGC\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_BARE_MARKERS = frozenset((0x01, *range(0xD0, 0xD8)))


def packet(label: Mapping[str, str]) -> bytes:
    """An XMP packet that holds the label and nothing else."""
    value = html.escape(orjson.dumps({KEY: dict(label)}).decode(), quote=False)
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:TC260="{NAMESPACE}"><TC260:AIGC>{value}</TC260:AIGC></rdf:Description>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def read_label(image: bytes) -> tuple[Any, list[Fault]] | None:
    """The label in a picture's XMP packet and its faults; None where it has none. Takes any bytes."""
    found = _png_packet(image) if image.startswith(_PNG) else _jpeg_packet(image) if image.startswith(_JPEG) else None
    if found is None:
        return None
    text = found.decode("utf-8", "replace")
    inside = _ELEMENT.search(text)
    prefix, value = (inside[1], inside[2]) if inside else ("", None)
    if value is None and (attribute := _ATTRIBUTE.search(text)):
        prefix, value = attribute[1], attribute[2] if attribute[2] is not None else attribute[3]
    if value is None:
        return None
    label = _parsed(html.unescape(value.strip().removeprefix("<![CDATA[").removesuffix("]]>")))
    faults = check(label)
    if not re.search(rf"""xmlns:{re.escape(prefix)}\s*=\s*["']{re.escape(NAMESPACE)}["']""", text):
        faults.append(Fault("", f"its namespace is not {NAMESPACE}"))
    return label, faults


def write_label(image: bytes, label: Mapping[str, str]) -> bytes | None:
    """The picture with the label in a new XMP packet; None where it is neither PNG nor JPEG, is cut short, or has a packet.

    A packet that is there holds statements of others: it is left alone, and the caller is told by the None.
    """
    if image.startswith(_PNG) and image[12:16] == b"IHDR" and len(image) >= 33 and _png_packet(image) is None:
        body = b"iTXt" + _IN_PNG + packet(label)
        return image[:33] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + image[33:]
    if image.startswith(_JPEG) and _jpeg_packet(image) is None:
        body = _IN_JPEG + packet(label)
        place = _after_first_segments(image)
        if place and len(body) + 2 <= 0xFFFF:
            return image[:place] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + image[place:]
    return None


def _parsed(text: str) -> Any:
    try:
        label = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return label[KEY] if isinstance(label, dict) and KEY in label else label


def _png_packet(image: bytes) -> bytes | None:
    place = len(_PNG)
    while place + 12 <= len(image):
        (length,) = struct.unpack_from(">I", image, place)
        if image[place + 4 : place + 8] == b"iTXt":
            data = image[place + 8 : place + 8 + length]
            if data.startswith(_PNG_WORD):
                return _international(data)
        place += 12 + length
    return None


def _international(data: bytes) -> bytes:
    """The text of an `iTXt` chunk: keyword, compression flag and method, language, translated keyword, text."""
    rest = data[len(_PNG_WORD) :]
    text = rest[2:].split(b"\x00", 2)[-1]
    if rest[:1] != b"\x01":
        return text
    try:
        # A packet is small; what unpacks to more than this is none.
        return zlib.decompressobj().decompress(text, 1 << 20)
    except zlib.error:
        return b""


def _jpeg_packet(image: bytes) -> bytes | None:
    place = 2
    while place + 4 <= len(image) and image[place] == 0xFF:
        marker = image[place + 1]
        if marker in _BARE_MARKERS or marker == 0xFF:
            place += 1 if marker == 0xFF else 2
            continue
        if marker in (0xD9, 0xDA):
            return None
        (length,) = struct.unpack_from(">H", image, place + 2)
        data = image[place + 4 : place + 2 + length]
        if marker == 0xE1 and data.startswith(_IN_JPEG):
            return data[len(_IN_JPEG) :]
        place += 2 + max(length, 2)
    return None


def _after_first_segments(image: bytes) -> int:
    """Behind the start of the image and its JFIF and Exif segments, which some readers want first; 0 where it is cut short."""
    place = 2
    while place + 4 <= len(image) and image[place] == 0xFF and image[place + 1] in (0xE0, 0xE1):
        (length,) = struct.unpack_from(">H", image, place + 2)
        place += 2 + max(length, 2)
    return place if place < len(image) else 0
