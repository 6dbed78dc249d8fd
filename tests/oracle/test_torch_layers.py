"""The functions and layers of networks beside PyTorch's: values, gradients, weights both ways."""

import numpy
import pytest

import backpass.nn.functional as F
from backpass import nn
from backpass.core import Tensor, value_and_grad

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
tf = torch.nn.functional

RANDOM = numpy.random.default_rng(0)


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def normal(*shape):
    return RANDOM.normal(size=shape)


def fetched(x):
    if isinstance(x, torch.Tensor):
        return x.detach().numpy()
    return numpy.asarray(getattr(x, "value", x))


def flat(out):
    if isinstance(out, tuple | list):
        return [leaf for part in out for leaf in flat(part)]
    return [out]


def same(found, right, rtol=1e-9, atol=1e-11):
    found, right = fetched(found), fetched(right)
    assert found.shape == right.shape
    assert found.dtype == right.dtype
    numpy.testing.assert_allclose(found, right, rtol=rtol, atol=atol)


def compare(ours, theirs, *arrays, rtol=1e-9, atol=1e-11):
    """Compare outputs, and the gradients of a weighted sum of their squares."""
    mine = [Tensor(x).requires_grad_() for x in arrays]
    other = [torch.tensor(x, requires_grad=True) for x in arrays]
    found, right = flat(ours(*mine)), flat(theirs(*other))
    assert len(found) == len(right)
    loss, expected = 0, 0
    for a, b in zip(found, right, strict=True):
        same(a, b, rtol, atol)
        w = RANDOM.uniform(0.5, 1.5, a.shape).astype(a.dtype)
        loss = loss + (a * a * w).sum()
        expected = expected + (b * b * torch.tensor(w)).sum()
    loss.backward()
    expected.backward()
    for a, b in zip(mine, other, strict=True):
        same(a.grad, b.grad, rtol, atol)


# ----- functions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4,), (3, 4)])
def test_layer_norm(shape):
    x, w, b = normal(2, 3, 4), normal(*shape), normal(*shape)
    compare(lambda x: F.layer_norm(x, shape), lambda x: tf.layer_norm(x, shape), x)
    compare(
        lambda *a: F.layer_norm(a[0], shape, *a[1:]),
        lambda *a: tf.layer_norm(a[0], shape, *a[1:]),
        *(x, w, b),
    )


def test_rms_norm():
    compare(lambda x: F.rms_norm(x, 4), lambda x: tf.rms_norm(x, (4,)), normal(2, 3, 4))
    compare(
        lambda x, w: F.rms_norm(x, (3, 4), w, 0.1),
        lambda x, w: tf.rms_norm(x, (3, 4), w, 0.1),
        *(normal(2, 3, 4), normal(3, 4)),
    )


def test_group_norm():
    compare(
        lambda *a: F.group_norm(a[0], 2, *a[1:]),
        lambda *a: tf.group_norm(a[0], 2, *a[1:]),
        *(normal(2, 4, 3, 2), normal(4), normal(4)),
    )


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2), (2, 3, 4, 2)])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm(shape, training):
    mean, var = normal(3), RANDOM.uniform(0.5, 2, 3)
    ours = [Tensor(mean.copy()), Tensor(var.copy())]
    theirs = [torch.tensor(mean), torch.tensor(var)]
    compare(
        lambda *a: F.batch_norm(a[0], *ours, *a[1:], training=training, momentum=0.3),
        lambda *a: tf.batch_norm(a[0], *theirs, *a[1:], training=training, momentum=0.3),
        *(normal(*shape), normal(3), normal(3)),
    )
    for a, b in zip(ours, theirs):
        same(a, b)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_norms_in_single_precision_are_as_good_as_pytorchs(scale, shift):
    x = (normal(64, 8, 5, 5) * scale + shift).astype("float32")
    exact = tf.batch_norm(torch.tensor(x, dtype=torch.float64), None, None, training=True)
    theirs = tf.batch_norm(torch.tensor(x), None, None, training=True)
    ours = F.batch_norm(x)
    assert ours.dtype == numpy.float32
    error = abs(fetched(ours) - fetched(exact)).max()
    assert error <= 2 * abs(fetched(theirs) - fetched(exact)).max() + 1e-6


def test_half_precision_is_summed_in_single():
    x = (normal(4, 4096) * 200).astype("float16")
    right = tf.layer_norm(torch.tensor(x, dtype=torch.float64), (4096,))
    found = F.layer_norm(x, 4096)
    assert found.dtype == numpy.float16
    numpy.testing.assert_allclose(fetched(found), fetched(right), atol=2e-3)
    right = tf.scaled_dot_product_attention(*(torch.tensor(x, dtype=torch.float64),) * 3)
    found = F.scaled_dot_product_attention(x, x, x)
    assert found.dtype == numpy.float16
    numpy.testing.assert_allclose(fetched(found), fetched(right), rtol=2e-3, atol=0.2)


def attention_arguments(n=4, m=5):
    return normal(2, 3, n, 6), normal(2, 3, m, 6), normal(2, 3, m, 2)


@pytest.mark.parametrize("size", [(4, 5), (5, 4), (4, 4)])
def test_causal_attention(size):
    compare(
        lambda *a: F.scaled_dot_product_attention(*a, causal=True, scale=0.7),
        lambda *a: tf.scaled_dot_product_attention(*a, is_causal=True, scale=0.7),
        *attention_arguments(*size),
    )


@pytest.mark.parametrize("shape", [(4, 5), (2, 1, 1, 5), (2, 3, 4, 5)])
def test_masked_attention(shape):
    mask = RANDOM.random(shape) < 0.6
    mask[..., 0] = True
    compare(
        lambda *a: F.scaled_dot_product_attention(*a, mask=mask),
        lambda *a: tf.scaled_dot_product_attention(*a, attn_mask=torch.tensor(mask)),
        *attention_arguments(),
    )
    compare(
        lambda *a: F.scaled_dot_product_attention(*a[:3], mask=a[3]),
        lambda *a: tf.scaled_dot_product_attention(*a[:3], attn_mask=a[3]),
        *attention_arguments(),
        normal(*shape),
    )


def test_attention_is_stable():
    q, k, v = attention_arguments()
    compare(
        F.scaled_dot_product_attention,
        tf.scaled_dot_product_attention,
        *(q * 1e3, k * 1e3, v),
        rtol=1e-7,
        atol=1e-9,
    )


# ----- layers ------------------------------------------------------------------------------------


def matched(ours, theirs):
    """Give two modules the same weights, in double precision, through a state dict each way."""
    ours.to("float64").zero_grad()
    theirs = theirs.double()
    theirs.zero_grad()
    state = {name: torch.tensor(x) for name, x in ours.state_dict().items()}
    assert list(state) == list(theirs.state_dict())
    theirs.load_state_dict(state)
    for x in theirs.parameters():  # what our initialisers leave at 0 and 1, too
        x.data = torch.tensor(RANDOM.uniform(-0.7, 0.7, tuple(x.shape)))
    for x in theirs.buffers():
        if x.dtype == torch.float64:
            x.data = torch.tensor(RANDOM.uniform(0.5, 1.5, tuple(x.shape)))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def compare_layers(ours, theirs, *arrays, call=None, other=None):
    """Compare outputs and all gradients, in both ways that people know, and the buffers."""
    ours, theirs = matched(ours, theirs)
    call, other = call or (lambda m, *a: m(*a)), other or call or (lambda m, *a: m(*a))
    before = {name: x.value.copy() for name, x in ours.named_buffers()}
    compare(lambda *a: call(ours, *a), lambda *a: other(theirs, *a), *arrays)
    for (name, x), (their_name, y) in zip(
        ours.named_parameters(), theirs.named_parameters(), strict=True
    ):
        assert name == their_name
        same(x.grad, y.grad)
    buffers = dict(theirs.named_buffers())
    for name, x in ours.named_buffers():
        same(x, buffers[name])
    if not list(ours.parameters()):
        return
    # The pure way: the gradients are those that .grad had, which is not touched, and the buffers
    # of the caller's model are brought up to date.
    for name, x in ours.named_buffers():
        x.value = before[name]
    ours.zero_grad()
    weights = [RANDOM.uniform(0.5, 1.5, tuple(out.shape)) for out in flat(call(ours, *arrays))]
    for name, x in ours.named_buffers():
        x.value = before[name]

    def loss(model):
        outputs = flat(call(model, *map(Tensor, arrays)))
        return sum((a * a * w).sum() for a, w in zip(outputs, weights))

    value, gradients = value_and_grad(loss, argnums=0)(ours)
    for name, x in ours.named_buffers():
        same(x, buffers[name])
        x.value = before[name]
    assert all(p.grad is None for p in ours.parameters())
    again = loss(ours)
    again.backward()
    assert float(value) == float(again.value)
    for (name, x), (their_name, g) in zip(
        ours.named_parameters(), gradients.named_parameters(), strict=True
    ):
        assert name == their_name
        numpy.testing.assert_array_equal(x.grad, g)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "options", [{}, {"momentum": None}, {"affine": False}, {"track_running_stats": False}]
)
def test_batch_norm_layers(training, options):
    for kind, shapes in (("BatchNorm1d", [(6, 3), (4, 3, 5)]), ("BatchNorm2d", [(4, 3, 2, 2)])):
        for shape in shapes:
            ours, theirs = getattr(nn, kind)(3, **options), getattr(torch.nn, kind)(3, **options)
            compare_layers(ours.train(training), theirs.train(training), normal(*shape))


def test_running_statistics_over_several_batches():
    for momentum in (0.1, None):
        ours, theirs = matched(
            nn.BatchNorm2d(3, momentum=momentum), torch.nn.BatchNorm2d(3, momentum=momentum)
        )
        for _ in range(4):
            x = normal(4, 3, 2, 2)
            same(ours(x), theirs(torch.tensor(x)))
        for (_, a), (_, b) in zip(ours.named_buffers(), theirs.named_buffers(), strict=True):
            same(a, b)


def test_layer_norm_and_rms_norm_layers():
    x = normal(2, 3, 4)
    compare_layers(nn.LayerNorm(4), torch.nn.LayerNorm(4), x)
    compare_layers(nn.LayerNorm((3, 4), bias=False), torch.nn.LayerNorm((3, 4), bias=False), x)
    compare_layers(
        nn.LayerNorm(4, elementwise_affine=False),
        torch.nn.LayerNorm(4, elementwise_affine=False),
        x,
    )
    compare_layers(nn.RMSNorm(4), torch.nn.RMSNorm(4), x)


@pytest.mark.parametrize("bias", [True, False])
def test_self_attention(bias):
    compare_layers(
        nn.MultiHeadAttention(6, 2, bias=bias),
        torch.nn.MultiheadAttention(6, 2, bias=bias, batch_first=True),
        normal(3, 4, 6),
        other=lambda m, x: m(x, x, x)[0],
    )


def test_cross_attention_with_padding_and_masks():
    padding = numpy.arange(5) >= numpy.array([[5], [3], [1]])
    forbidden = RANDOM.random((4, 5)) < 0.4
    forbidden[:, 0] = False
    added = normal(4, 5)
    arrays = normal(3, 4, 6), normal(3, 5, 6), normal(3, 5, 6)
    minus = numpy.where(padding, -numpy.inf, 0.0)  # PyTorch wants masks of one kind
    for mask, *theirs in (
        (None, None, padding),
        (~forbidden, forbidden, padding),
        (added, added, minus),
    ):
        attn_mask, padding_mask = (None if x is None else torch.tensor(x) for x in theirs)
        compare_layers(
            nn.MultiHeadAttention(6, 3),
            torch.nn.MultiheadAttention(6, 3, batch_first=True),
            *arrays,
            call=lambda m, *a, mask=mask: m(*a, padding, mask=mask),
            other=lambda m, *a, masks=(padding_mask, attn_mask): m(
                *a, key_padding_mask=masks[0], attn_mask=masks[1]
            )[0],
        )


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("causal", [True, False])
def test_transformer_block(norm_first, activation, causal):
    padding = numpy.arange(4) >= numpy.array([[4], [2], [3]])
    ahead = torch.triu(torch.ones(4, 4, dtype=torch.bool), 1)
    compare_layers(
        nn.TransformerBlock(
            6, 2, 8, 0.0, activation=activation, norm_first=norm_first, causal=causal
        ),
        torch.nn.TransformerEncoderLayer(
            6, 2, 8, 0.0, activation=activation, norm_first=norm_first, batch_first=True
        ),
        normal(3, 4, 6),
        call=lambda m, x: m(x, key_padding_mask=padding),
        other=lambda m, x: m(
            x,
            src_mask=ahead if causal else None,
            src_key_padding_mask=torch.tensor(padding),
        ),
    )


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_first": True},
        {"bidirectional": True},
        {"num_layers": 2, "bias": False},
        {"num_layers": 3, "bidirectional": True, "batch_first": True},
    ],
)
def test_recurrent_layers(kind, options):
    ours, theirs = getattr(nn, kind)(3, 4, **options), getattr(torch.nn, kind)(3, 4, **options)
    compare_layers(ours, theirs, normal(5, 2, 3))
    directions = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    batch = 5 if options.get("batch_first") else 2
    states = [normal(directions, batch, 4) for _ in range(2 if kind == "LSTM" else 1)]
    compare_layers(
        ours,
        theirs,
        normal(5, 2, 3),
        *states,
        call=lambda m, x, *s: m(x, s if kind == "LSTM" else s[0]),
    )
    compare_layers(ours, theirs, normal(5, 3))


@pytest.mark.parametrize("bias", [True, False])
def test_linear_layer(bias):
    compare_layers(nn.Linear(4, 3, bias=bias), torch.nn.Linear(4, 3, bias=bias), normal(2, 5, 4))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2, "padding": 1, "bias": False},
        {"padding": "same", "dilation": 2, "groups": 2},
        {"padding": "valid", "groups": 4},
    ],
)
def test_convolution_layers(options):
    for kind, kernel, shape in (
        ("Conv1d", 3, (2, 4, 9)),
        ("Conv2d", 3, (2, 4, 9, 8)),
        ("Conv2d", (3, 5), (2, 4, 9, 11)),
    ):
        ours, theirs = (getattr(of, kind)(4, 8, kernel, **options) for of in (nn, torch.nn))
        compare_layers(ours, theirs, normal(*shape))


@pytest.mark.parametrize(
    ("kind", "shape", "args"),
    [
        ("MaxPool1d", (2, 3, 9), (3, 2, 1, 2)),
        ("MaxPool2d", (2, 3, 9, 8), (2,)),
        ("MaxPool2d", (2, 3, 9, 8), ((3, 2), 1, 1, (1, 2))),
        ("AvgPool1d", (2, 3, 9), (3, 2, 1)),
        ("AvgPool2d", (2, 3, 9, 8), ((2, 3),)),
        ("AdaptiveAvgPool1d", (2, 3, 9), (4,)),
        ("AdaptiveAvgPool2d", (2, 3, 9, 8), ((1, 3),)),
        ("AdaptiveAvgPool2d", (2, 3, 9, 8), ((None, 5),)),
    ],
)
def test_pooling_layers(kind, shape, args):
    compare_layers(getattr(nn, kind)(*args), getattr(torch.nn, kind)(*args), normal(*shape))


def test_average_pooling_layers_that_do_not_count_the_border():
    compare_layers(
        nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        torch.nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        normal(2, 3, 9, 8),
    )


@pytest.mark.parametrize("padding_idx", [None, 1, -1])
def test_embedding_layer(padding_idx):
    indices = RANDOM.integers(0, 5, (3, 4))
    compare_layers(
        nn.Embedding(5, 3, padding_idx),
        torch.nn.Embedding(5, 3, padding_idx),
        call=lambda m: m(indices),
        other=lambda m: m(torch.tensor(indices)),
    )


def test_a_small_network_of_convolutions():
    ours, theirs = (
        of.Sequential(
            of.Conv2d(1, 4, 3, padding=1),
            of.BatchNorm2d(4),
            of.PReLU(4),
            of.MaxPool2d(2),
            of.Sequential(of.Conv2d(4, 6, 3, bias=False), of.GELU()),
            of.AdaptiveAvgPool2d(2),
            of.Flatten(),
            of.Linear(24, 5),
        )
        for of in (nn, torch.nn)
    )
    compare_layers(ours, theirs, normal(3, 1, 8, 9))
    compare_layers(ours[1:3], theirs[1:3], normal(3, 4, 8, 9))
