"""What people use today for what the library does: plain PyTorch, and other libraries where they
are installed.

Only `bench` and the tests use these. The other libraries come with `pip install
'contrastlib[bench]'`.
"""

from collections.abc import Callable
from importlib import import_module

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms import v2
from torchvision.transforms.functional import to_pil_image

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def optional(module: str, name: str):
    """A baseline's class, or None where it is not installed."""
    try:
        return getattr(import_module(module), name)
    except ImportError:
        return None


def contrastive(bank: Tensor, tau: float) -> dict[str, Loss]:
    """The contrastive loss (features, bank, rows of the positives) -> scalar, by everyone who has
    it.
    """
    size, d = bank.shape

    def naive(f, bank, i):
        return F.cross_entropy(f @ bank.T / tau, i)

    found: dict[str, Loss] = {"naive": naive}
    if hasattr(F, "linear_cross_entropy"):  # torch 2.14 and later

        def fused(f, bank, i):
            return F.linear_cross_entropy(f / tau, bank, i)

        found["torch linear_cross_entropy"] = fused
    # In half precision these are used under autocast: their banks stay float32.
    half = torch.autocast(bank.device.type, bank.dtype, enabled=bank.dtype != torch.float32)
    ntxent = optional("lightly.loss", "NTXentLoss")
    if ntxent:
        with_bank = ntxent(temperature=tau, memory_bank_size=(size, d)).to(bank.device)

        def lightly(f, bank, i):
            with half:
                return with_bank(f.float(), bank[i].float())

        found["lightly NTXentLoss"] = lightly
    supcon = optional("pytorch_metric_learning.losses", "SupConLoss")
    if supcon:
        by_label = supcon(temperature=tau)
        labels = torch.arange(size, device=bank.device)
        wide = bank.float()

        def metric_learning(f, bank, i):
            with half:
                return by_label(f.float(), i, ref_emb=wide, ref_labels=labels)

        found["pytorch-metric-learning SupConLoss"] = metric_learning
    return found


def naive_hard(features: Tensor, bank: Tensor, i: Tensor, k: int, tau: float) -> Tensor:
    """The hard loss by topk."""
    s = features @ bank.T
    pos = s.gather(1, i[:, None])
    hard = s.scatter(1, i[:, None], -torch.inf).topk(k, dim=1).values
    return F.cross_entropy(torch.cat([pos, hard], dim=1) / tau, torch.zeros_like(i))


def naive_simple(features: Tensor, bank: Tensor, i: Tensor) -> Tensor:
    """The simple loss by the whole similarity matrix."""
    s = features @ bank.T
    pos = s.gather(1, i[:, None]).squeeze(1)
    return ((s.sum(dim=1) - pos) / (len(bank) - 1) - pos).mean()


def pdist_uniformity(z: Tensor) -> float:
    """Uniformity by the formula that Wang & Isola (2020) publish."""
    return -torch.pdist(z).pow(2).mul(-2).exp().mean().log().item()


def masked_tolerance(z: Tensor, labels: Tensor, block: int = 1024) -> float:
    """Tolerance by a mask over all pairs, in blocks."""
    total = 0.0
    pairs = 0
    for start in range(0, len(z), block):
        same = labels[start : start + block, None] == labels
        total += (z[start : start + block] @ z.T)[same].sum().item()
        pairs += same.sum().item()
    return (total - len(z)) / (pairs - len(z))


def views(images: Tensor) -> dict[str, Callable[[], object]]:
    """One random view of each image, uint8 [B, 3, H, W], without the transfer to a device."""
    side = images.shape[-1]
    found = {}
    simclr = optional("lightly.transforms", "SimCLRTransform")
    if simclr:
        pictures = [to_pil_image(image) for image in images.cpu()]
        one_view = simclr_like(simclr, side).transforms[0]

        def lightly():
            return torch.stack([one_view(picture) for picture in pictures])

        found["lightly SimCLRTransform (PIL)"] = lightly
    kornia = optional("kornia", "augmentation")
    if kornia:
        batched = kornia.AugmentationSequential(
            kornia.RandomResizedCrop((side, side), scale=(0.2, 1.0)),
            kornia.RandomHorizontalFlip(),
            kornia.ColorJitter(0.4, 0.4, 0.4, 0.4),
            kornia.RandomGrayscale(p=0.2),
        )

        def by_kornia():
            return batched(images.float() / 255)

        found["kornia"] = by_kornia
    single = v2.Compose(
        [
            v2.RandomResizedCrop(side, scale=(0.2, 1.0)),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.4, 0.4, 0.4, 0.4),
            v2.RandomGrayscale(0.2),
        ]
    )

    def by_torchvision():
        return torch.stack([single(image) for image in images])

    found["torchvision v2, image by image"] = by_torchvision
    return found


def simclr_like(transform: type, side: int):
    """Lightly's SimCLR transform with the strengths that the paper uses, and no blur."""
    return transform(
        input_size=side,
        min_scale=0.2,
        cj_strength=1,
        cj_bright=0.4,
        cj_contrast=0.4,
        cj_sat=0.4,
        cj_hue=0.4,
        cj_prob=1.0,
        gaussian_blur=0.0,
    )


def lightly_step(
    images: Tensor, keys: int, encoder: nn.Module, half: torch.autocast, device: torch.device
) -> dict[str, Callable[[], object]]:
    """A whole training step by lightly: its transform on PIL images, two views, its loss with a
    bank of `keys`.
    """
    simclr = optional("lightly.transforms", "SimCLRTransform")
    ntxent = optional("lightly.loss", "NTXentLoss")
    if not (simclr and ntxent):
        return {}
    transform = simclr_like(simclr, images.shape[-1])
    pictures = [to_pil_image(image) for image in images.cpu()]
    criterion = ntxent(temperature=0.2, memory_bank_size=(keys, 128)).to(device)
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.03, momentum=0.9)

    def train():
        first, second = zip(*(transform(picture) for picture in pictures), strict=True)
        with half:
            z = encoder(
                torch.stack([*first, *second]).to(device, memory_format=torch.channels_last)
            )
            loss = criterion(*z.chunk(2))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return {"lightly, two views": train}
