"""Networks."""

from unnoise.nets.unet import UNet

__all__ = ["UNet"]
