"""A device that is always there."""

nvrtc = curand = cublas = object()


class runtime:
    """CUDA's runtime."""

    @staticmethod
    def getDeviceCount():
        return 1


def is_available():
    return True
