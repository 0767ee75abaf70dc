"""Which of torch's attention kernels serve where hardly two shapes are alike."""

import torch


def without_plans(device: torch.device) -> None:
    """On a card, take no kernels that are planned for each shape anew.

    torch 2.13 prefers cuDNN's on H100 and later; a plan costs the host tens of milliseconds, and here a conversation
    gets longer with each token, and each block of a trie has a shape of its own.
    """
    if device.type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)
