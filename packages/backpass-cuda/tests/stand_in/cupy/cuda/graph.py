"""A graph: the work that a stream recorded, to be done as often as it is launched."""


class Graph:
    def __init__(self, work):
        self._work = work
        self.graph, self.graphExec = id(work), id(self)

    def launch(self, stream=None):
        from cupy.cuda import stream as streams

        def run():
            for work in self._work:
                work()

        with streams.get_current_stream() if stream is None else stream:
            streams.do(run)

    def upload(self, stream=None):
        """There is nowhere to upload it to."""

    def debug_dot_str(self, flags=0):
        return "\n".join(["digraph {", *(f"n{i}" for i in range(len(self._work))), "}"])
