"""The U-Net of the classical system `unet`: trained here, on drawn cells and on masked ones; used without JAX."""
