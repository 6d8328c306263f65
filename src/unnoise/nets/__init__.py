"""Networks, the weights that come with the package, and the devices they run on."""

from unnoise.nets.blur_pool import MaxBlurPool
from unnoise.nets.per_channel import PerChannel
from unnoise.nets.unet import ACTIVATIONS, UNet

__all__ = ["ACTIVATIONS", "MaxBlurPool", "PerChannel", "UNet"]
