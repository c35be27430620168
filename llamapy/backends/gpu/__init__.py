"""Graphics processors: kernels written once, in a small dialect of C, for OpenCL, CUDA and ROCm.

`source` puts a program together, `runtime` is the backend, and `opencl` and `cuda` are the devices
that it runs on. All but those two is proven on a machine without a GPU, through PoCL.

What is where:

    preludes/    the words of the dialect, in OpenCL, and in CUDA and HIP
    formats/     a snippet for each block format: how its weights are read
    encoders/    how cells of a cache are written in a format
    kernels/     the kernels
    <name>.py    which kernels an operation launches, with which arguments
"""
