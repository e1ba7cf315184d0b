"""Diffusion: a network learns to take noise out of data, and makes data out of noise, a little at a time.

schedule     how much noise each step adds, and what follows from that in closed form
unet         the network: a U-Net that knows the time and, if asked, the class
model        the loss, sampling (DDPM, DDIM, classifier-free guidance), codes by the way back
"""

from chainrule.generative.diffusion.model import Diffusion, image_diffusion
from chainrule.generative.diffusion.schedule import Schedule, cosine_schedule, linear_schedule
from chainrule.generative.diffusion.unet import TimeUNet, time_embedding

__all__ = [
    "Diffusion",
    "Schedule",
    "TimeUNet",
    "cosine_schedule",
    "image_diffusion",
    "linear_schedule",
    "time_embedding",
]
