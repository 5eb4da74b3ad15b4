"""ATen's operators that move data: views, slices, gathers, joins."""

from __future__ import annotations

from dataclasses import replace

from perfmodel.errors import GraphError
from perfmodel.formats.onnx.call import normal_axis, same_layout
from perfmodel.formats.onnx.net import Value
from perfmodel.formats.pytorch.call import AtenCall, converts
from perfmodel.formats.pytorch.elementwise import first


@converts(
    "alias alias_copy clone contiguous detach dropout dropout1d dropout2d dropout3d "
    "feature_dropout alpha_dropout lift_fresh_copy lift_fresh native_dropout positive identity "
    "_assert_tensor_metadata rrelu requires_grad"
)
def _passed_on(call: AtenCall) -> list[Value]:
    """What inference does not compute: the tensor itself."""
    return call.and_unused([first(call)])


@converts("to _to_copy type_as float half double int long bool type")
def _cast(call: AtenCall) -> list[Value]:
    x = call.value("self")
    if x.dtype == call.dtype:
        return [x]
    return same_layout(call.call(), "cast", x, call.dtype)


@converts(
    "view reshape flatten unflatten squeeze unsqueeze _unsafe_view _reshape_alias view_copy "
    "reshape_as view_as squeeze_copy unsqueeze_copy"
)
def _view(call: AtenCall) -> list[Value]:
    x = first(call)
    if x.shape == call.shape and x.dtype == call.dtype:
        return [x]
    if x.dtype != call.dtype:
        raise GraphError(f"{x.dtype} read as {call.dtype}")
    return call.onnx("Reshape", x, shape=call.shape)


@converts("permute transpose t numpy_T movedim moveaxis swapaxes swapdims permute_copy adjoint mT")
def _transpose(call: AtenCall) -> list[Value]:
    x = call.value("self")
    perm = _permutation(call, len(x.shape))
    if perm == tuple(range(len(perm))):
        return [x]
    return call.onnx("Transpose", x, perm=perm)


def _permutation(call: AtenCall, rank: int) -> tuple[int, ...]:
    if call.op.startswith("permute"):
        return tuple(normal_axis(a, rank) for a in call.integers("dims"))
    if call.op in ("movedim", "moveaxis"):
        source = [normal_axis(a, rank) for a in call.integers("source")]
        target = [normal_axis(a, rank) for a in call.integers("destination")]
        order = [a for a in range(rank) if a not in source]
        for place, axis in sorted(zip(target, source, strict=True)):
            order.insert(place, axis)
        return tuple(order)
    if call.op in ("t", "numpy_T"):
        return tuple(reversed(range(rank)))
    names = [n for n in ("dim0", "dim1", "axis0", "axis1") if n in call.args]
    a, b = (normal_axis(call.args[n], rank) for n in names) if names else (rank - 2, rank - 1)
    order = list(range(rank))
    order[a], order[b] = b, a
    return tuple(order)


@converts("expand broadcast_to expand_as expand_copy")
def _expand(call: AtenCall) -> list[Value]:
    x = call.value("self")
    if x.shape == call.shape:
        return [x]
    return call.onnx("Expand", x, call.numbers(call.shape))


@converts("repeat tile")
def _repeat(call: AtenCall) -> list[Value]:
    x = call.value("self")
    times = call.integers("repeats" if "repeats" in call.args else "dims")
    if len(times) > len(x.shape):
        shape = (*[1] * (len(times) - len(x.shape)), *x.shape)
        x = call.onnx("Reshape", x, suffix="axes", shape=shape)[0]
    times = (*[1] * (len(x.shape) - len(times)), *times)
    if all(n == 1 for n in times):
        return [x]
    return call.onnx("Tile", x, call.numbers(times))


@converts("slice narrow slice_copy")
def _slice(call: AtenCall) -> list[Value]:
    x = call.value("self")
    if x.shape == call.shape:
        return [x]
    axis, start = call.args.get("dim", 0), call.args.get("start") or 0
    if call.op == "narrow":
        end, step = start + call.args["length"], 1
    else:
        end, step = call.args.get("end"), call.args.get("step", 1)
        end = x.shape[axis] if end is None else end
    return call.onnx("Slice", x, starts=(start,), ends=(end,), axes=(axis,), steps=(step,))


@converts("select select_copy")
def _select(call: AtenCall) -> list[Value]:
    """One element of an axis, which goes away."""
    x, axis, index = call.value("self"), call.args["dim"], call.args["index"]
    if x.shape[axis] != 1:
        end = index + 1 if index != -1 else x.shape[axis]
        x = call.onnx(
            "Slice", x, suffix="one", starts=(index,), ends=(end,), axes=(axis,), steps=(1,)
        )[0]
    return call.onnx("Reshape", x, shape=call.shape)


@converts("cat concat concatenate")
def _cat(call: AtenCall) -> list[Value]:
    values = [v for v in call.args["tensors"] if v.shape != (0,)]
    if len(values) == 1:
        return values
    return call.onnx("Concat", *values, axis=call.args.get("dim", 0))


@converts("stack")
def _stack(call: AtenCall) -> list[Value]:
    values = call.args["tensors"]
    names = [call.net.plain(v) for v in values]
    return call.emit("pack", names, axis=normal_axis(call.args.get("dim", 0), len(call.shape)))


@converts("split split_with_sizes chunk split_with_sizes_copy tensor_split")
def _split(call: AtenCall) -> list[Value]:
    x = call.value("self")
    axis = normal_axis(call.args.get("dim", 0), len(x.shape))
    sizes = tuple(m.shape[axis] for m in call.made)
    if len(sizes) == 1:
        return [x]
    return call.onnx("Split", x, outputs=len(sizes), axis=axis, split=sizes)


@converts("unbind unbind_copy")
def _unbind(call: AtenCall) -> list[Value]:
    x, count = call.value("self"), len(call.made)
    axis = normal_axis(call.args.get("dim", 0), len(x.shape))
    return call.call(outputs=count).emit(
        "unpack", [call.net.plain(x)], {"axis": axis}, outputs=count, dtype=x.dtype
    )


@converts("roll flip fft_fftshift")
def _rolled(call: AtenCall) -> list[Value]:
    """Every element, in another order."""
    x = call.value("self")
    return same_layout(call.call(), "reverse", x)


@converts(
    "index unfold im2col as_strided gather take_along_dim masked_select _unsafe_index "
    "diagonal repeat_interleave index_select_dim"
)
def _picked(call: AtenCall) -> list[Value]:
    """Elements at given places."""
    x = first(call)
    others = [v for v in _listed(call) if v is not x and not v.constant]
    names = [call.net.plain(v) for v in (x, *others)]
    return call.emit("strided_slice", names, output_shape=call.shape)


def _listed(call: AtenCall) -> list[Value]:
    found = call.args.get("indices", call.args.get("index"))
    listed = found if isinstance(found, (list, tuple)) else [found]
    return [v for v in listed if isinstance(v, Value)]


@converts("embedding index_select")
def _gather(call: AtenCall) -> list[Value]:
    if call.op == "embedding":
        return call.onnx("Gather", call.value("weight"), call.value("indices"), axis=0)
    return call.onnx("Gather", call.value("self"), call.value("index"), axis=call.args["dim"])


@converts(
    "scatter scatter_add scatter_reduce index_put _unsafe_index_put copy slice_scatter "
    "select_scatter index_copy index_add masked_scatter col2im index_fill diagonal_scatter"
)
def _scatter(call: AtenCall) -> list[Value]:
    """A tensor with other numbers at some places."""
    values = [v for v in call.args.values() if isinstance(v, Value)]
    names = [call.net.plain(v) for v in values]
    return call.call().emit("scatter", names, {"output_shapes": (call.shape,)}, dtype=call.dtype)


@converts("one_hot")
def _one_hot(call: AtenCall) -> list[Value]:
    name = call.net.plain(call.value("self"))
    return call.emit("one_hot", [name], output_shape=call.shape)


@converts("meshgrid broadcast_tensors")
def _grid(call: AtenCall) -> list[Value]:
    results = []
    for i, (x, made) in enumerate(zip(call.args["tensors"], call.made, strict=True)):
        shape = {"output_shape": made.shape}
        results += call.call().emit(
            "broadcast_to", [call.net.plain(x)], shape, suffix=str(i), dtype=made.dtype
        )
    return results


@converts(
    "fft_fft fft_ifft fft_rfft fft_irfft fft_fft2 fft_ifft2 fft_rfft2 fft_irfft2 stft istft "
    "_fft_r2c _fft_c2c _fft_c2r fft_fftn fft_ifftn fft_rfftn fft_irfftn"
)
def _spectral(call: AtenCall) -> list[Value]:
    name = call.net.plain(first(call))
    attrs = {"output_shapes": (call.shape,), "custom_name": call.op}
    return call.call().emit("spectral", [name], attrs, dtype=call.dtype)


@converts("view_as_complex view_as_real real imag complex polar")
def _complex(call: AtenCall) -> list[Value]:
    """The same numbers read in another way."""
    x = next((v for v in call.args.values() if isinstance(v, Value)), None)
    if x is None:
        raise GraphError(f"{call.op} of no tensor")
    made = call.emit("strided_slice", [call.net.plain(x)], output_shape=call.shape)
    return [replace(v, dtype=call.dtype) for v in made]
