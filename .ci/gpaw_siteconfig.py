# GPAW_CONFIG of a GPAW for the labeler gpaw: one process per label, with the libraries of Debian's libxc-dev,
# libopenblas-dev and libfftw3-dev.
compiler = "g++"
mpi = False
fftw = True
libraries = ["xc", "openblas", "fftw3"]
