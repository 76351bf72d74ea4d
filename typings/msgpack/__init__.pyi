from collections.abc import Callable

def packb(o: object) -> bytes: ...
def unpackb(
    packed: bytes,
    *,
    use_list: bool = True,
    max_array_len: int = -1,
    max_map_len: int = -1,
    max_ext_len: int = -1,
    object_hook: Callable[[object], object] | None = None,
    ext_hook: Callable[[int, bytes], object] = ...,
) -> object: ...
