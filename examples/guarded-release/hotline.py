"""Made-up requests to a citizens' hotline (12345), each with the department that is due. No real person's words are in here.

    python examples/guarded-release/hotline.py > cases.jsonl      # the same bytes every time

Sentences are put together from parts by hand-written rules: what is wrong, where, since when; in simplified Chinese, in
traditional Chinese and in English. `cases` makes the pilot's data. `calls` makes what citizens ask live, with another seed; it
also holds complaints about lifts, of which the pilot's data has none.
"""

import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["DEPARTMENTS", "Request", "calls", "cases"]

EACH = 60
"""Cases of each department: half in simplified Chinese, a third in English, the rest in traditional Chinese."""

TROUBLES = {
    "housing": (
        ("屋顶漏雨，物业一直不修", "the roof leaks and the property company does not mend it"),
        ("公租房申请交了材料没有回音", "my application for public rental housing has had no reply"),
        ("楼道灯坏了，物业不管", "the corridor is dark and the property company ignores it"),
        ("开发商延期交房", "the developer hands our flats over late"),
        ("外墙的瓷砖掉下来", "tiles fall from the outer wall of the building"),
        ("邻居拆了承重墙", "a neighbour took out a load-bearing wall"),
    ),
    "transport": (
        ("公交车晚点半小时", "the bus comes half an hour late"),
        ("红绿灯不亮", "the traffic light is out"),
        ("路面有个大坑", "there is a deep pothole in the road"),
        ("共享单车堵住了人行道", "shared bicycles block the pavement"),
        ("出租车司机绕路", "the taxi driver took a detour"),
        ("地铁站的扶梯口没有指示牌", "the metro station has no sign at its exit"),
    ),
    "utilities": (
        ("停水两天了", "we have had no water for two days"),
        ("家里停电", "the electricity is off in our home"),
        ("暖气不热", "the heating stays cold"),
        ("燃气表读数不对", "the gas meter shows a wrong reading"),
        ("自来水发黄", "the tap water is yellow"),
        ("电费比上月多了三倍", "the electricity bill is three times that of last month"),
    ),
    "environment": (
        ("工地半夜施工，噪音很大", "the building site makes noise at midnight"),
        ("垃圾没有人清运", "the rubbish is not taken away"),
        ("河水发臭", "the river smells foul"),
        ("烧烤店油烟太大", "smoke from a barbecue kitchen fills the street"),
        ("工厂夜里排黑烟", "a factory lets out black smoke at night"),
        ("污水流到路边的花坛", "sewage runs into the flower bed"),
    ),
    "market": (
        ("超市卖过期牛奶", "a supermarket sells milk that is out of date"),
        ("网购退货不退款", "an online shop takes goods back and gives no refund"),
        ("菜市场缺斤少两", "the scales at the food market weigh too little"),
        ("健身房关门，预付卡退不了", "the gym closed and keeps the money on our prepaid cards"),
        ("饭店多收餐具费", "a restaurant charges extra for bowls"),
        ("药店卖假的保健品", "a pharmacy sells fake health products"),
    ),
}
LIFTS = (
    ("电梯坏了，老人下不了楼", "the lift is broken and old people cannot leave the house"),
    ("电梯停在两层之间，有人被困", "the lift stopped between two floors with people inside"),
    ("电梯检验标志过期了", "the inspection label in the lift is out of date"),
    ("电梯忽上忽下", "the lift jumps up and down"),
)
"""Lifts are special equipment, inspected by the market regulator: 特种设备由市场监管部门监察."""
DEPARTMENTS = tuple(TROUBLES)
PLACES = (
    ("幸福小区", "Xingfu Estate"),
    ("人民路12号", "12 Renmin Road"),
    ("东湖社区", "East Lake community"),
    ("光明街口", "Guangming Street"),
    ("建设三村", "Jianshe Third Village"),
    ("西门市场旁边", "the West Gate"),
)
SINCE = (
    ("", ""),
    ("，已经一周了", ", for a week now"),
    ("，从昨天晚上开始", ", since last night"),
    ("，反映过两次没有结果", ", and two calls changed nothing"),
    ("，请尽快处理", ", please see to it soon"),
)
OPENINGS = (("", ""), ("您好，", "Hello, "), ("请问该找谁：", "Who is in charge: "))
PAIRS = """
顶頂 业業 请請 没沒 楼樓 灯燈 坏壞 开開 发發 区區 墙牆 邻鄰 车車 绿綠 红紅 个個 单單 运運 过過 东東 门門 关關 电電 费費
两兩 热熱 气氣 数數 对對 来來 间間 处處 烟煙 厂廠 卖賣 网網 购購 货貨 场場 预預 药藥 从從 尽盡 结結 设設 标標 验驗 检檢
层層 点點 饭飯 边邊 坛壇 读讀 砖磚 机機 绕繞 铁鐵 烧燒 问問 该該 谁誰 号號 经經 周週 里裡
"""
TO_TRADITIONAL = str.maketrans({pair[0]: pair[1] for pair in PAIRS.split()})
"""Each character that occurs here and has another form in traditional Chinese, with that form."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a citizen writes, and whose it is."""

    text: str
    department: str
    language: str


def cases(seed: int = 12345) -> list[Request]:
    """The pilot's cases: 60 a department, no text twice, none about a lift."""
    draw = random.Random(seed)
    found: dict[str, Request] = {}
    for department in DEPARTMENTS:
        for i in range(EACH):
            language = ("zh-Hans", "en", "zh-Hans", "zh-Hant", "zh-Hans", "en")[i % 6]
            while (one := _say(draw, TROUBLES[department][i % 5 if i % 6 else 5], department, language)).text in found:
                continue
            found[one.text] = one
    return list(found.values())


def calls(seed: int, lifts: float = 0.4) -> Iterator[Request]:
    """What citizens ask live, without end. `lifts` is the share of complaints about lifts."""
    draw = random.Random(seed)
    while True:
        language = draw.choice(("zh-Hans", "zh-Hans", "zh-Hans", "zh-Hant", "en", "en"))
        if draw.random() < lifts:
            yield _say(draw, draw.choice(LIFTS), "market", language)
        else:
            department = draw.choice(DEPARTMENTS)
            yield _say(draw, draw.choice(TROUBLES[department]), department, language)


def _say(draw: random.Random, trouble: tuple[str, str], department: str, language: str) -> Request:
    opening, place, since = draw.choice(OPENINGS), draw.choice(PLACES), draw.choice(SINCE)
    if language == "en":
        return Request(f"{opening[1]}at {place[1]} {trouble[1]}{since[1]}.", department, language)
    text = f"{opening[0]}{place[0]}{trouble[0]}{since[0]}。"
    return Request(text.translate(TO_TRADITIONAL) if language == "zh-Hant" else text, department, language)


def main() -> None:
    """Write the pilot's cases, one JSON object a line; `incident` is empty for all of them."""
    for i, one in enumerate(cases(), 1):
        case = {"id": f"c{i:03}", "text": one.text, "language": one.language, "department": one.department, "incident": ""}
        sys.stdout.buffer.write(json.dumps(case, ensure_ascii=False).encode() + b"\n")


if __name__ == "__main__":
    main()
