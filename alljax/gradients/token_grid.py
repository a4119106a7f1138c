"""The places of a transformer's tokens in the image: which of them are patches, and in how many rows and columns."""

from jaxtyping import Array, Float

EXTRA = 16  # tokens at most that are no patch: a class token, registers


def grid_of(tokens: int, image: tuple[int, int], grid: tuple[int, int] | None = None) -> tuple[int, int]:
    """The rows and columns of the patches among `tokens`, for an image of such height and width in pixels.

    Without `grid` it is the largest one of the image's proportions; the tokens before its patches are class tokens and
    registers. ValueError for a grid of more patches than tokens, and where no grid is found.
    """
    if grid is not None:
        rows, columns = grid
        if not (rows >= 1 and columns >= 1 and rows * columns <= tokens):
            raise ValueError(f'grid is {grid}: {rows * columns} patches; the layer gives {tokens} tokens')
        return rows, columns
    height, width = image
    for patches in range(tokens, max(tokens - EXTRA, 1) - 1, -1):
        rows = round((patches * height / width) ** 0.5)
        if rows and patches % rows == 0 and rows * width == patches // rows * height:
            return rows, patches // rows
    raise ValueError(
        f'{tokens} tokens are no grid of the proportions of an image of {height}×{width} pixels, nor are they after a '
        'class token; give its rows and columns (grid=)'
    )


def patches_on_grid(
    tokens: Float[Array, 'batch tokens ...'], grid: tuple[int, int]
) -> Float[Array, 'batch rows columns ...']:
    """The last tokens, which are patches, in rows and columns; the class token and registers before them are gone."""
    rows, columns = grid
    on_grid: Array = tokens[:, tokens.shape[1] - rows * columns :].reshape(
        len(tokens), rows, columns, *tokens.shape[2:]
    )
    return on_grid
