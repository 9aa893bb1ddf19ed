"""The Open Inference Protocol: paths, tensors, rows and their errors."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.gateway.answers import Refused
from pilotbase.gateway.inference import (
    Infer,
    Place,
    error_document,
    live,
    model_document,
    model_ready,
    read_infer,
    read_place,
    server_document,
    write_infer,
)
from pilotbase.gateway.tensors import DATATYPES, read_tensor, write_tensor


def tensor(name: str = "x", shape: Any = (2,), datatype: Any = "FP64", data: Any = (1.0, 2.0), **more: Any) -> dict[str, Any]:
    return {"name": name, "shape": list(shape), "datatype": datatype, "data": list(data)} | more


def refusal(document: Any, columns: tuple[str, ...] = (), **options: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        read_infer(document, columns, **options)
    assert caught.value.status == 400 and caught.value.retry is False
    return caught.value


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/v2", Place("server")),
        ("/v2/", Place("server")),
        ("/v2/health/live", Place("live")),
        ("/v2/health/ready", Place("ready")),
        ("/v2/models/iris", Place("model", "iris")),
        ("/v2/models/iris/ready", Place("model-ready", "iris")),
        ("/v2/models/iris/infer", Place("infer", "iris")),
        ("/v2/models/iris/versions/3", Place("model", "iris", "3")),
        ("/v2/models/iris/versions/3/ready", Place("model-ready", "iris", "3")),
        ("/v2/models/org/iris:1/versions/v10/infer", Place("infer", "org/iris:1", "v10")),
        ("/v2/models/", None),
        ("/v2/models/iris/versions//infer", None),
        ("/v2/health", None),
        ("/v2/repository/index", None),
        ("/v1/models", None),
    ],
)
def test_every_path_of_the_protocol_is_understood(path: str, place: Place | None) -> None:
    assert read_place(path) == place
    assert place is None or place.method == ("POST" if path.endswith("infer") else "GET")


def test_one_tensor_a_column_becomes_rows() -> None:
    document = {
        "id": "42",
        "inputs": [
            tensor("age", (2,), "INT64", (30, 40)),
            tensor("name", (2, 1), "BYTES", ("Li", "王")),
            tensor("vec", (2, 2), "FP32", ([1, 2], [3, 4])),
        ],
    }
    assert read_infer(document) == Infer(
        id="42", rows=[{"age": 30, "name": "Li", "vec": [1, 2]}, {"age": 40, "name": "王", "vec": [3, 4]}]
    )


@pytest.mark.parametrize("data", [[1, 2, 3, 4, 5, 6], [[1, 2, 3], [4, 5, 6]]])
def test_a_single_matrix_holds_the_declared_columns_flat_or_nested(data: Any) -> None:
    document = {"inputs": [tensor("input-0", (2, 3), "FP32", data)]}
    assert read_infer(document, ("a", "b", "c")).rows == [{"a": 1, "b": 2, "c": 3}, {"a": 4, "b": 5, "c": 6}]
    refused = refusal(document, ("a", "b"))
    assert refused.message == "Tensor `input-0`: it has 3 columns and the model takes 2: a, b."
    assert refused.param == "input-0"


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.data())
def test_flat_and_nested_data_are_the_same_rows(rows: int, width: int, depth: int, data: st.DataObject) -> None:
    flat = data.draw(st.lists(st.integers(-100, 100), min_size=rows * width * depth, max_size=rows * width * depth))
    nested = [[[flat[(r * width + w) * depth + d] for d in range(depth)] for w in range(width)] for r in range(rows)]
    shape = (rows, width, depth)
    one = read_infer({"inputs": [tensor("x", shape, "INT8", flat)]})
    other = read_infer({"inputs": [tensor("x", shape, "INT8", nested)]})
    assert one.rows == other.rows and len(one.rows) == rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [3]}, "Tensor `x`: its shape [3] needs 3 elements and `data` has 2."),
        ({"shape": [0]}, "Tensor `x`: every dimension in `shape` must be a whole number of at least 1."),
        ({"shape": [True]}, "Tensor `x`: every dimension in `shape` must be a whole number of at least 1."),
        ({"shape": []}, "Tensor `x`: `shape` must be a list of 1 to 8 whole numbers."),
        ({"shape": "2"}, "Tensor `x`: `shape` must be a list of 1 to 8 whole numbers."),
        ({"shape": [2, 2], "data": [[1, 2], [3]]}, "Tensor `x`: its nested `data` does not follow its shape [2, 2]."),
        ({"shape": [2, 2], "data": [[1, 2], 3]}, "Tensor `x`: its nested `data` does not follow its shape [2, 2]."),
        ({"shape": [1], "data": [[1]]}, "Tensor `x`: element 0 is not a number."),
        ({"data": "1, 2"}, "Tensor `x`: `data` is not a list."),
        ({"datatype": "BF16"}, "Tensor `x`: its datatype is unknown; use one of BOOL, UINT8, "),
        ({"datatype": ["BOOL"]}, "Tensor `x`: its datatype is unknown"),
        ({"datatype": "BOOL"}, "Tensor `x`: element 0 is not true or false."),
        ({"datatype": "BYTES"}, "Tensor `x`: element 0 is not a string."),
        ({"datatype": "UINT8", "data": [1, 256]}, "Tensor `x`: element 1 is not a whole number from 0 to 255."),
        ({"datatype": "INT8", "data": [1, -129]}, "Tensor `x`: element 1 is not a whole number from -128 to 127."),
        ({"datatype": "INT64", "data": [1, 1.0]}, "Tensor `x`: element 1 is not a whole number"),
        ({"datatype": "INT64", "data": [1, True]}, "Tensor `x`: element 1 is not a whole number"),
        ({"datatype": "FP16", "data": [1, 70000]}, "Tensor `x`: element 1 is beyond the range of FP16."),
        ({"datatype": "FP32", "data": [1, 1e39]}, "Tensor `x`: element 1 is beyond the range of FP32."),
        ({"data": [1, None]}, "Tensor `x`: element 1 is not a number."),
        (
            {"parameters": {"content_type": "hg_json"}},
            "Tensor `x`: its content type is unknown; use one of np, pd, str, base64, d",
        ),
        ({"parameters": {"content_type": ["np"]}}, "Tensor `x`: its content type is unknown"),
        ({"parameters": 7}, "Tensor `x`: `parameters` is not an object."),
        ({"parameters": {"binary_data_size": 16}}, "Tensor `x`: binary and shared-memory data are not supported"),
        ({"parameters": {"shared_memory_region": "r"}}, "Tensor `x`: binary and shared-memory data are not supported"),
        ({"datatype": "BYTES", "data": ["!", "!"], "parameters": {"content_type": "base64"}}, "Tensor `x`: it holds an element"),
    ],
)
def test_what_is_wrong_with_a_tensor_is_said_with_its_name(change: dict[str, Any], message: str) -> None:
    refused = refusal({"inputs": [tensor() | change]})
    assert refused.message.startswith(message) and refused.param == "x"


@pytest.mark.parametrize(
    ("document", "param", "words"),
    [
        ([], None, "not a JSON object"),
        ({}, "inputs", "at least one tensor"),
        ({"inputs": []}, "inputs", "at least one tensor"),
        ({"inputs": [7]}, "inputs[0]", "inputs[0] is not an object"),
        ({"inputs": [{"shape": [1]}]}, "inputs[0].name", "inputs[0] has no name"),
        ({"id": 42, "inputs": [tensor()]}, "id", "`id` is not a string"),
        ({"inputs": [tensor()], "outputs": [{"nome": "y"}]}, "outputs", "each have a `name`"),
        ({"inputs": [tensor(), tensor()]}, "x", "there are two of this name"),
        ({"inputs": [tensor(), tensor("y", (3,), data=(1, 2, 3))]}, "y", "it has 3 rows and `x` has 2"),
        ({"inputs": [{k: v for k, v in tensor().items() if k != "data"}]}, "x", "`data` is missing"),
        ({"inputs": [tensor()], "parameters": {"binary_data_output": True}}, "parameters", "Binary output is not supported"),
        ({"inputs": [tensor()], "outputs": [{"name": "y", "parameters": {"binary_data": True}}]}, "outputs", "binary output"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(document: Any, param: str | None, words: str) -> None:
    refused = refusal(document)
    assert words in refused.message and refused.param == param


def test_the_binary_extension_is_refused_in_words_that_help() -> None:
    refused = refusal({"inputs": [tensor()]}, binary=True)
    assert refused.message == "The binary tensor data extension is not supported; send the values as JSON in `data`."


def test_declared_inputs_must_all_be_there_and_no_others() -> None:
    missing = refusal({"inputs": [tensor("a")]}, ("a", "b"))
    assert missing.message == "Tensor `b`: the model needs this input and it is missing."
    other = refusal({"inputs": [tensor("a"), tensor("z")]}, ("a", "b"))
    assert other.message == "Tensor `z`: the model takes no such input; it takes a, b."


def test_more_rows_than_allowed_are_refused() -> None:
    assert "send at most 1 at once" in refusal({"inputs": [tensor()]}, most=1).message


def test_null_is_a_missing_value_where_the_content_type_says_so() -> None:
    document = {"inputs": [tensor("x", (2,), "FP64", (1.5, None), parameters={"content_type": "pd"})]}
    assert read_infer(document).rows == [{"x": 1.5}, {"x": None}]


def test_base64_becomes_bytes() -> None:
    document = {"inputs": [tensor("x", (1,), "BYTES", ("aGk=",), parameters={"content_type": "base64"})]}
    assert read_infer(document).rows == [{"x": b"hi"}]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda s: st.lists(s, max_size=3) | st.dictionaries(st.sampled_from(["name", "shape", "data", "datatype", "parameters"]), s),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.just("x") | JSON,
            "shape": st.lists(st.integers(-1, 3), max_size=3) | JSON,
            "datatype": st.sampled_from(DATATYPES) | JSON,
            "data": st.lists(st.integers() | st.lists(st.integers()), max_size=4) | JSON,
            "parameters": JSON,
        },
    )
    | JSON
)
def test_no_tensor_raises_anything_but_a_refusal(document: Any) -> None:
    try:
        read = read_tensor(document, 0)
    except Refused as refused:
        assert refused.status == 400
    else:
        assert len(read.rows()) == read.shape[0]


def test_the_response_holds_one_tensor_a_name_with_its_type() -> None:
    request = Infer(id="42", rows=[{}, {}])
    rows = [
        {"label": "yes", "score": 0.5, "vector": [1, 2], "text": None},
        {"label": "no", "score": 1, "vector": [3, 4], "text": None},
    ]
    assert write_infer(request, rows, model="iris") == {
        "model_name": "iris",
        "id": "42",
        "outputs": [
            {"name": "label", "shape": [2], "datatype": "BYTES", "data": ["yes", "no"]},
            {"name": "score", "shape": [2], "datatype": "FP64", "data": [0.5, 1]},
            {"name": "vector", "shape": [2, 2], "datatype": "FP64", "data": [1, 2, 3, 4]},
        ],
    }


def test_only_the_outputs_asked_for_are_returned_and_an_unknown_one_is_named() -> None:
    rows = [{"label": "yes", "score": 0.5}]
    asked = Infer(id=None, rows=[{}], outputs=("score",))
    document = write_infer(asked, rows, model="iris", version="3")
    assert document["model_version"] == "3" and "id" not in document
    assert [one["name"] for one in document["outputs"]] == ["score"]
    with pytest.raises(Refused, match="Output `logits` is none of this model's: label, score"):
        write_infer(Infer(id=None, rows=[{}], outputs=("logits",)), rows, model="iris")


@pytest.mark.parametrize(
    ("values", "datatype", "data"),
    [
        ([True, False], "BOOL", [True, False]),
        ([1, 2], "INT64", [1, 2]),
        ([2**70, 1], "FP64", [2**70, 1]),
        ([1.5, None], "FP64", [1.5, None]),
        ([True, 1], "BYTES", ["true", "1"]),
        ([{"a": 1}, {"b": 2}], "BYTES", ['{"a":1}', '{"b":2}']),
        ([10**400, 1], "BYTES", [str(10**400), "1"]),
        ([[1], [1, 2]], "BYTES", ["[1]", "[1,2]"]),
    ],
)
def test_output_types_are_those_of_the_values(values: list[Any], datatype: str, data: list[Any]) -> None:
    written = write_tensor("x", values)
    assert (written["datatype"], written["data"], written["shape"]) == (datatype, data, [2])


def test_numbers_and_text_that_were_written_read_back_the_same() -> None:
    for values in ([1, 2, 3], [0.5, 1.5], ["a", "王"], [True, False], [1.5, None]):
        document = orjson.loads(orjson.dumps(write_tensor("x", values)))
        assert read_tensor(document, 0).rows() == values


def test_the_metadata_documents_have_the_members_of_the_specification() -> None:
    assert server_document("1.2") == {"name": "pilotbase", "version": "1.2", "extensions": []}
    assert live(True) == {"live": True, "ready": True} and live(False)["ready"] is False
    assert model_ready("iris", True) == {"name": "iris", "ready": True}
    document = model_document("iris", ("a", "b"), version="3")
    assert (document["name"], document["versions"], document["platform"]) == ("iris", ["3"], "pilotbase")
    assert document["inputs"][1] == {"name": "b", "datatype": "BYTES", "shape": [-1]}
    assert {one["name"] for one in document["outputs"]} == {"label", "score", "text"}
    assert "versions" not in model_document("iris", ())


def test_an_error_has_the_shape_of_this_protocol() -> None:
    assert orjson.loads(error_document(refusal({}))) == {"error": "`inputs` must be a list of at least one tensor."}
