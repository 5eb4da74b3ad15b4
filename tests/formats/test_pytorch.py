"""PyTorch modules as graphs, and what is said where torch is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from perfmodel.errors import GraphError, ModelFileError, UnknownModelError
from perfmodel.formats.load import load
from perfmodel.kernels import macs, params, uncovered_ops

ROOT = Path(__file__).resolve().parents[2]


def test_without_torch_one_line_names_the_extra() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'timm', 'torchvision']));"
        "import perfmodel\n"
        "for network, inputs in ((object(), ((1, 3, 8, 8),)), ('timm:nothing_at_all', None)):\n"
        "    try: perfmodel.load(network, inputs)\n"
        "    except perfmodel.errors.PerfmodelError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("perfmodel[torch]") == 2
    assert len(done.stdout.splitlines()) == 2


def test_torch_is_not_imported_before_a_module_or_a_library_is_asked_for() -> None:
    code = (
        "import sys, perfmodel; from perfmodel import zoo;"
        "perfmodel.load('timm:mobilenetv4_conv_small'); perfmodel.load('mobilenet_v2');"
        "print('torch' in sys.modules, 'timm' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_example_inputs_belong_to_modules() -> None:
    with pytest.raises(GraphError, match="example inputs are for PyTorch modules"):
        load("mobilenet_v2", (1, 3, 224, 224))


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


def read(torch: Any, module: Any, *shapes: tuple[int, ...]) -> Any:
    return load(module, [torch.empty(shape) for shape in shapes])


@pytest.mark.ci
class TestModules:
    """Single modules against arithmetic by hand; torch itself says every shape while reading."""

    def test_a_module_keeps_its_weights_and_its_mode(self, torch: Any) -> None:
        module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Dropout())
        before = module[0].weight.clone()
        graph = load(module, torch.empty(2, 4))
        assert [op.kind for op in graph.ops] == ["fully_connected"]
        assert module.training
        assert torch.equal(module[0].weight, before)
        assert module[0].weight.device.type == "cpu"

    @pytest.mark.parametrize("inputs", [(1, 3, 8, 8), [(1, 3, 8, 8)]])
    def test_inputs_may_be_shapes(self, torch: Any, inputs: Any) -> None:
        graph = load(torch.nn.Conv2d(3, 4, 3), inputs)
        assert graph.tensors[graph.inputs[0]].shape == (1, 8, 8, 3)
        assert macs(graph) == 6 * 6 * 4 * 27
        assert params(graph) == 4 * 27 + 4

    def test_inputs_may_be_lists_and_tables_of_tensors(self, torch: Any) -> None:
        class Sum(torch.nn.Module):  # type: ignore[name-defined, misc]
            def forward(self, several: Any, named: Any) -> Any:
                return several[0] + several[1] + named["bias"]

        graph = load(Sum(), [[torch.zeros(2, 3), (2, 3)], {"bias": torch.zeros(3)}])
        assert [graph.tensors[n].shape for n in graph.inputs] == [(2, 3), (2, 3), (3,)]

    def test_an_exported_program_is_read_as_it_is(self, torch: Any) -> None:
        program = torch.export.export(torch.nn.Linear(4, 3), (torch.empty(2, 4),))
        assert macs(load(program)) == 2 * 4 * 3

    @pytest.mark.parametrize(
        ("kind", "channels", "options"),
        [
            ("Conv1d", 8, {"padding": 1, "stride": 2}),
            ("Conv2d", 8, {"groups": 2, "dilation": 2, "padding": "same"}),
            ("Conv3d", 8, {"padding": 1}),
            ("ConvTranspose1d", 8, {"stride": 2}),
            ("ConvTranspose2d", 8, {"stride": 2, "output_padding": 1, "padding": 1}),
        ],
    )
    def test_convolutions_have_the_shape_that_torch_says(
        self, torch: Any, kind: str, channels: int, options: dict[str, Any]
    ) -> None:
        axes = int(kind[-2])
        module = getattr(torch.nn, kind)(4, channels, 3, **options)
        x = torch.empty(2, 4, *[9] * axes)
        out, graph = module(x), load(module, x)
        shape = (2, *out.shape[2:], channels)
        assert graph.tensors[graph.outputs[0]].shape == shape
        groups = options.get("groups", 1)
        pixels = (x if "Transpose" in kind else out)[0, 0].numel()
        assert macs(graph) == 2 * pixels * channels * 4 // groups * 3**axes

    @pytest.mark.parametrize(
        ("name", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)], ids=["lstm", "gru", "rnn"]
    )
    def test_recurrent_layers_count_their_gates(self, torch: Any, name: str, gates: int) -> None:
        module = getattr(torch.nn, name)(10, 20, 2, bidirectional=True, batch_first=True)
        graph = load(module, (3, 7, 10))
        # two directions; the second layer reads both of the first
        each = gates * 20 * (10 + 20) + gates * 20 * (40 + 20)
        assert macs(graph) == 3 * 7 * 2 * each
        assert params(graph) == sum(p.numel() for p in module.parameters())
        assert [op.kind for op in graph.ops][:2] == [name.lower()] * 2
        assert "layer0" in graph.ops[0].name
        assert "layer" not in graph.ops[1].name

    def test_attention_is_two_products_and_a_softmax(self, torch: Any) -> None:
        module = torch.nn.MultiheadAttention(16, 4, batch_first=True)
        x = torch.empty(2, 5, 16)
        graph = load(module, [x, x, x])
        kinds = [op.kind for op in graph.ops]
        assert kinds.count("softmax") == 1
        assert macs(graph) == 2 * 5 * 16 * 16 * 4 + 2 * 2 * 5 * 5 * 16
        assert params(graph) == sum(p.numel() for p in module.parameters())

    def test_grouped_queries_share_keys_and_values(self, torch: Any) -> None:
        class Grouped(torch.nn.Module):  # type: ignore[name-defined, misc]
            def forward(self, q: Any, k: Any) -> Any:
                attention = torch.nn.functional.scaled_dot_product_attention
                return attention(q, k, k, is_causal=True, enable_gqa=True)

        graph = read(torch, Grouped(), (1, 8, 6, 4), (1, 2, 6, 4))
        assert macs(graph) == 2 * 8 * 6 * 6 * 4
        (masked,) = (op for op in graph.ops if op.kind == "add")
        assert [t.shape for t in graph.weights_of(masked)] == [(6, 6)]
        assert params(graph) == 0

    def test_what_follows_from_weights_alone_is_computed_once(self, torch: Any) -> None:
        class Table(torch.nn.Module):  # type: ignore[name-defined, misc]
            def __init__(self) -> None:
                super().__init__()
                self.table = torch.nn.Parameter(torch.empty(5, 2))
                self.register_buffer("index", torch.zeros(4, 4, dtype=torch.long))
                self.register_buffer("mask", torch.zeros(4, 4))

            def forward(self, x: Any) -> Any:
                bias = self.table[self.index].permute(2, 0, 1)
                return x + bias + self.mask

        graph = load(Table(), (3, 2, 4, 4))
        assert [op.kind for op in graph.ops] == ["add", "add"]
        # ten numbers are learned, 32 and 16 are held
        assert params(graph) == 10

    def test_a_weight_that_two_layers_share_counts_once(self, torch: Any) -> None:
        class Tied(torch.nn.Module):  # type: ignore[name-defined, misc]
            def __init__(self) -> None:
                super().__init__()
                self.table = torch.nn.Embedding(50, 8)

            def forward(self, ids: Any) -> Any:
                return self.table(ids) @ self.table.weight.T

        graph = load(Tied(), torch.zeros(2, 6, dtype=torch.long))
        assert params(graph) == 50 * 8
        assert macs(graph) == 2 * 6 * 8 * 50

    def test_values_written_into_a_part_of_a_tensor_are_not_lost(self, torch: Any) -> None:
        class Written(torch.nn.Module):  # type: ignore[name-defined, misc]
            def __init__(self) -> None:
                super().__init__()
                self.conv = torch.nn.Conv2d(3, 3, 1)

            def forward(self, x: Any) -> Any:
                y = torch.zeros_like(x)
                y[:, :, ::2] = self.conv(x)[:, :, ::2]
                return y

        from perfmodel.graph.exported import exported

        assert macs(exported(load(Written(), (1, 3, 8, 8)))) == 64 * 9

    def test_a_program_in_basic_operators_is_the_same_network(self, torch: Any) -> None:
        layers = [torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU()]
        layers += [torch.nn.MaxPool2d(2), torch.nn.GroupNorm(2, 8), torch.nn.Flatten()]
        layers += [torch.nn.LayerNorm(72), torch.nn.Linear(72, 5), torch.nn.Softmax(1)]
        module = torch.nn.Sequential(*layers).eval()
        whole = torch.export.export(module, (torch.empty(1, 3, 8, 8),))
        graphs = [load(whole), load(whole.run_decompositions())]
        assert [macs(g) for g in graphs] == [36 * 8 * 27 + 72 * 5] * 2
        assert [params(g) for g in graphs] == [sum(p.numel() for p in module.parameters())] * 2

    def test_data_moves_as_torch_moves_it(self, torch: Any) -> None:
        class Moved(torch.nn.Module):  # type: ignore[name-defined, misc]
            def forward(self, x: Any) -> Any:
                return (
                    torch.tile(x, (2, 3)),
                    x.repeat(2, 1, 1, 1, 2),
                    x.movedim(1, -1),
                    x.transpose(-1, 1)[:, 1:, ::2, -1],
                    torch.stack([x, x], -1).unbind(1)[0],
                    x.narrow(2, 1, 3).roll(1, 2).flip(3),
                    torch.nn.functional.pad(x, (1, 2, 0, 3)),
                    x.unflatten(2, (2, 3)).chunk(2, 1)[1],
                    torch.nn.functional.pixel_shuffle(x, 2),
                    torch.nn.functional.adaptive_avg_pool2d(x, (2, 4)),
                    torch.nn.functional.glu(x, 1),
                    x.var(1, keepdim=True),
                    x.max(3).indices,
                )

        module, x = Moved(), torch.zeros(1, 4, 6, 8)
        graph = load(module, x)
        made = [tuple(t.shape) for t in module(x)]
        # an image is held channels last
        found = [graph.tensors[n].shape for n in graph.outputs]
        turned = [(s[0], *s[2:], s[1]) for s in made]
        assert all(f in (s, t) for f, s, t in zip(found, made, turned, strict=True))
        assert made[0] == (1, 4, 12, 24)

    def test_places_among_the_largest_are_whole_numbers(self, torch: Any) -> None:
        class Best(torch.nn.Module):  # type: ignore[name-defined, misc]
            def forward(self, x: Any) -> Any:
                values, places = x.topk(3)
                return values, places.unsqueeze(-1), x.argmax(1), x > 0

        graph = load(Best(), (2, 9))
        found = [(graph.tensors[n].shape, graph.tensors[n].dtype) for n in graph.outputs]
        wanted = [((2, 3), "float32"), ((2, 3, 1), "int64"), ((2,), "int64"), ((2, 9), "bool")]
        assert found == wanted

    def test_an_operator_we_do_not_know_is_named(self, torch: Any) -> None:
        class Odd(torch.nn.Module):  # type: ignore[name-defined, misc]
            def forward(self, x: Any) -> Any:
                return torch.linalg.svd(x)[1] + 1

        graph = load(Odd(), (6, 4))
        assert [op.attrs["custom_name"] for op in uncovered_ops(graph)] == ["linalg_svd"]

    def test_control_flow_on_values_is_refused_with_torchs_reason(self, torch: Any) -> None:
        class Branch(torch.nn.Module):  # type: ignore[name-defined, misc]
            def forward(self, x: Any) -> Any:
                return x + 1 if x.sum() > 0 else x

        with pytest.raises(GraphError, match=r"Branch: torch\.export cannot trace it"):
            load(Branch(), (2, 2))

    def test_open_sizes_are_refused(self, torch: Any) -> None:
        batch = torch.export.Dim("batch")
        linear = torch.nn.Linear(4, 3)
        program = torch.export.export(linear, (torch.empty(2, 4),), dynamic_shapes=({0: batch},))
        with pytest.raises(ModelFileError, match="is not a number"):
            load(program)

    def test_layers_are_called_as_in_the_module(self, torch: Any) -> None:
        block = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.ReLU())
        graph = load(torch.nn.Sequential(block, torch.nn.Flatten()), (1, 3, 2, 2))
        assert [op.name for op in graph.ops][:2] == ["0.0", "0.1"]

    def test_an_unknown_network_of_an_installed_library_gives_the_nearest(self, torch: Any) -> None:
        pytest.importorskip("timm")
        with pytest.raises(UnknownModelError, match="timm:resnet50d"):
            load("timm:resnet50dd")
