"""Network files in YAML: the same networks, and faults with their lines."""

import json
import re
from pathlib import Path

import pytest
import yaml
from support.paths import PUBLISHED as published

from soma_cp.model.errors import UserError
from soma_cp.model.network.network_file import NetworkFileError, network_document, read_network_file

PUBLISHED = published / "networks"


def yaml_problems(folder: Path, text: str) -> list[str]:
    path = folder / "net.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(NetworkFileError) as error:
        read_network_file(path)
    return [problem.removeprefix(f"{path}: ") for problem in error.value.problems]


def test_a_yaml_file_is_the_same_network(tmp_path: Path) -> None:
    network = read_network_file(PUBLISHED / "vgg19.json")
    path = tmp_path / "net.yaml"
    path.write_text(yaml.safe_dump(network_document(network)), encoding="utf-8")
    assert read_network_file(path) == network


def test_faults_of_a_yaml_file(tmp_path: Path) -> None:
    path = tmp_path / "net.yml"
    head = "name: n\ninputs: [{name: in, shape: [8, 4, 4]}]\n"
    layer = "{name: a, kind: ptp, K: 8, H: 4, W: 4, inputs: [in]}"
    path.write_text(f"{head}layers:\n - {layer}\n")
    assert read_network_file(path).layers[0].name == "a"
    for text, message in (
        (f"{head}layers:\n - {layer.replace('W: 4', 'W: 4.0')}\n", "layer 'a': W=4.0 \\(must be a whole number"),
        (f"{head}layers:\n - {layer.replace('W: 4', 'W: 4, W: 5')}\n", "line 4: the field 'W' is given twice"),
        (f"{head}layers: [\n", "not valid YAML"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            read_network_file(path)


FAULTY = """\
name: n
blocks: 0
colour: red
inputs:
  - name: in
    shape: [8, 4]
  - 5
layers:
  - name: stem
    kind: conv
    C: 8
    K: 0
    R: 1
    S: 1
    H: 4
    W: 4
    sW: 1
    inputs: [in]
  - {name: odd, kind: convolution}

  - name: act
    kind: ptp
    K: 8
    H: 4
    W: 4
    stride: 1
    ifmaps: stem
  - kind: ptp
"""


def test_faults_of_form_are_told_with_their_lines(tmp_path: Path) -> None:
    # A missing field is reported with the first line of its layer.
    assert [problem.split(" (must")[0] for problem in yaml_problems(tmp_path, FAULTY)] == [
        "line 2: blocks=0",
        'line 3: "colour" is not a field',
        "line 6: input 'in': shape=[8, 4]",
        "line 7: input number 2: 5",
        "line 12: layer 'stem': K=0",
        "line 9: layer 'stem': sH is missing",
        "line 19: layer 'odd': kind=\"convolution\"",
        "line 27: layer 'act': ifmaps=\"stem\"",
        "line 26: layer 'act': \"stride\" is not a field",
        "line 28: layer number 4: name is missing",
        "line 28: layer number 4: K is missing",
        "line 28: layer number 4: H is missing",
        "line 28: layer number 4: W is missing",
    ]


def test_faults_between_layers_are_told_with_their_lines(tmp_path: Path) -> None:
    # The problem doesn't say which of the two layers called c reads too few channels.
    text = """\
name: n
inputs:
  - {name: in, shape: [8, 4, 4]}
layers:
  - name: a
    kind: ptp
    K: 8
    H: 4
    W: 4
    ofmap: [8, 4, 5]
    inputs: [in]
  - name: b
    kind: group_conv
    C: 8
    K: 8
    G: 3
    R: 1
    S: 1
    H: 4
    W: 4
    sH: 1
    sW: 1
    ifmaps:
      - a
      - c
  - {name: c, kind: ptp, K: 9, H: 4, W: 4, ifmaps: [a]}
  - name: c
    kind: ptp
    K: 8
    H: 4
    W: 4
    ifmaps: [a]
"""
    problems = yaml_problems(tmp_path, text)
    assert [problem.split(" (")[0].split(";")[0] for problem in problems] == [
        "line 27: the name 'c' is used twice",
        "line 16: layer 'b': G=3 must divide both C=8 and K=8",
        "line 23: layer 'b': ifmaps names 'c', which comes later",
        "layer 'c': reads 8 channels",
        "line 10: layer 'a': ofmap=[8, 4, 5]",
    ]


def test_faults_of_a_json_file_have_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(json.dumps(yaml.safe_load(FAULTY)), encoding="utf-8")
    with pytest.raises(NetworkFileError) as error:
        read_network_file(path)
    in_yaml = [re.sub("^line [0-9]+: ", "", problem) for problem in yaml_problems(tmp_path, FAULTY)]
    assert [problem.removeprefix(f"{path}: ") for problem in error.value.problems] == in_yaml


@pytest.mark.parametrize("text", ["? [a, b]\n: 1\n", "name: n\ninputs: [{? {a: 1} : 2}]\n"])
def test_a_list_or_an_object_is_no_name_of_a_field(tmp_path: Path, text: str) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"line [12]: a list or an object in place of a field's name"):
        read_network_file(path)
