"""Which item of a stored array is the image that was asked for."""

import numbers


def require_pictures(name, shape):
    """Raise ValueError if the last axis looks like colors, or other channels, of a picture.

    That is an axis of at most four entries, fewer than either axis before it has: nobody has stacks
    of so narrow images, while color pictures have the shape (rows, columns, 3).
    """
    if len(shape) >= 3 and shape[-1] <= 4 and shape[-1] < min(shape[-3:-1]):
        raise ValueError(
            f"{name} has shape {tuple(shape)}, with {shape[-1]} channels of a picture along the "
            "last axis, expected gray pictures (rows, columns) or stacks (N, rows, columns); store "
            "one channel, such as array[..., 0], or their mean."
        )


def item_of(name, shape, index):
    """What to index with: ``()`` for an image itself, a number from zero for one of a stack.

    Raises
    ------
    TypeError
        If the index is no whole number.
    ValueError
        If there is no such item, or the array holds no gray pictures.
    """
    if index is not None and not isinstance(index, numbers.Integral):
        raise TypeError(f"index is {index!r}, expected a whole number, that of an image in {name}.")
    require_pictures(name, shape)
    if len(shape) == 2 and index is None:
        return ()
    if len(shape) != 3:
        hint = "leave index away" if len(shape) == 2 else "expected an image or a stack of images"
        raise ValueError(f"{name} has shape {tuple(shape)} and index is {index}; {hint}.")
    count = shape[0]
    if index is None or not -count <= index < count:
        raise ValueError(
            f"{name} is a stack of {count} images and index is {index}; "
            f"choose an index between 0 and {count - 1}."
        )
    return int(index) % count
