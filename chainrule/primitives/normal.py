"""From random words to normal numbers: Wichura's AS 241 by plain IEEE operations.

The steps are written out in `philox.normal`; here they are done, a cache-sized part at a time.

Source: M. J. Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics
37 (1988).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.unsignedinteger[Any]]
Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class NormalRecipe:
    """What `normal` needs for one type: the layout of its bits and the coefficients of AS 241.

    Each pair of coefficient rows is a numerator and a denominator, constant term first.  Python's
    floats take the type of the array they meet, so every constant is rounded once to that type.
    """

    words: int  # 32-bit words per value
    bit_count: int  # bits of the random word, and of the floating-point type
    mantissa_bits: int  # stored bits of the significand
    root_half_bits: int  # the bit pattern of sqrt(1/2)
    logarithm_terms: tuple[float, ...]  # 1, 1/3, 1/5, ...: the series of the inverse hyperbolic tangent
    centre: tuple[tuple[float, ...], tuple[float, ...]]
    tail: tuple[tuple[float, ...], tuple[float, ...]]
    far_tail: tuple[tuple[float, ...], tuple[float, ...]] | None


CENTRE_LIMIT: Final = 0.425
CENTRE_OFFSET: Final = 0.180625  # CENTRE_LIMIT squared
TAIL_OFFSET: Final = 1.6
FAR_TAIL_LIMIT: Final = 5.0
LOG_2: Final = 0.6931471805599453

# AS 241's routine PPND7.  No far tail: a 32-bit word cannot come closer to 0 than 2^-33.
FLOAT32_NORMAL: Final = NormalRecipe(
    words=1,
    bit_count=32,
    mantissa_bits=23,
    root_half_bits=0x3F3504F3,
    logarithm_terms=tuple(1 / odd for odd in range(1, 11, 2)),
    centre=(
        (3.3871327179, 50.434271938, 159.29113202, 59.109374720),
        (1.0, 17.895169469, 78.757757664, 67.187563600),
    ),
    tail=(
        (1.4234372777, 2.7568153900, 1.3067284816, 0.17023821103),
        (1.0, 0.73700164250, 0.12021132975),
    ),
    far_tail=None,
)

# AS 241's routine PPND16.
# fmt: off
FLOAT64_NORMAL: Final = NormalRecipe(
    words=2,
    bit_count=64,
    mantissa_bits=52,
    root_half_bits=0x3FE6A09E667F3BCD,
    logarithm_terms=tuple(1 / odd for odd in range(1, 23, 2)),
    centre=(
        (3.3871328727963666080, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
         45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727),
        (1.0, 42.313330701600911252, 687.18700749205790830, 5394.1960214247511077,
         21213.794301586595867, 39307.895800092710610, 28729.085735721942674, 5226.4952788528545610),
    ),
    tail=(
        (1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
         1.27045825245236838258, 0.241780725177450611770, 0.0227238449892691845833,
         7.74545014278341407640e-4),
        (1.0, 2.05319162663775882187, 1.67638483018380384940, 0.689767334985100004550,
         0.148103976427480074590, 0.0151986665636164571966, 5.47593808499534494600e-4,
         1.05075007164441684324e-9),
    ),
    far_tail=(
        (6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580, 0.296560571828504891230,
         0.0265321895265761230930, 1.24266094738807843860e-3, 2.71155556874348757815e-5,
         2.01033439929228813265e-7),
        (1.0, 0.599832206555887937690, 0.136929880922735805310, 0.0148753612908506148525,
         7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
         2.04426310338993978564e-15),
    ),
)
# fmt: on


def recipe_of(dtype: npt.DTypeLike) -> NormalRecipe:
    """The recipe for a type; a TypeError unless it is float32 or float64."""
    wanted = np.dtype(dtype)
    if wanted == np.float32:
        return FLOAT32_NORMAL
    if wanted == np.float64:
        return FLOAT64_NORMAL
    raise TypeError(f"dtype must be float32 or float64 (cast float32 for 16-bit types), got {wanted}")


def words_to_normal(words: Words, recipe: NormalRecipe, result: Floats, scratch: Floats) -> None:
    """Steps 2 to 6 of `normal`.

    The centre's formula is evaluated for every element, and the 15% in the tails are then replaced:
    choosing the elements of the centre would cost more than it saves.
    """
    distance, square, denominator, spare = scratch[:, : len(words)]
    unit = 2.0 ** -(recipe.bit_count + 1)
    odd = np.left_shift(words, 1, out=spare.view(words.dtype))
    odd |= 1
    np.multiply(odd, unit, out=distance, dtype=distance.dtype, casting="unsafe")
    np.multiply(distance, distance, out=square)
    np.subtract(CENTRE_OFFSET, square, out=square)
    _polynomial(recipe.centre[0], square, out=result)
    result /= _polynomial(recipe.centre[1], square, out=denominator)
    result *= distance
    beyond = np.flatnonzero(distance > CENTRE_LIMIT)
    probability = np.negative(odd[beyond]).astype(result.dtype)
    probability *= unit
    result[beyond] = _upper_tail(probability, recipe)
    pattern = result.view(words.dtype)
    pattern |= np.bitwise_and(words, 1 << recipe.bit_count - 1, out=odd)


def _upper_tail(probability: Floats, recipe: NormalRecipe) -> Floats:
    """Step 5 of `normal`: the x that a normal number exceeds with a probability below 0.075."""
    root = np.sqrt(-_logarithm(probability, recipe))
    offset = root - TAIL_OFFSET
    result: Floats = _polynomial(recipe.tail[0], offset) / _polynomial(recipe.tail[1], offset)
    if recipe.far_tail is not None:
        far = np.flatnonzero(root > FAR_TAIL_LIMIT)
        offset = root[far] - FAR_TAIL_LIMIT
        result[far] = _polynomial(recipe.far_tail[0], offset) / _polynomial(recipe.far_tail[1], offset)
    return result


def _logarithm(x: Floats, recipe: NormalRecipe) -> Floats:
    """Steps a to c of `normal`: the natural logarithm of positive normal numbers.

    log(2^e y) = e log(2) + 2 artanh((y - 1) / (y + 1)), with y within a factor of sqrt(2) of 1.
    The error is a few units in the last place of 1, so it is relative only away from x = 1.
    """
    pattern = x.view(f"i{x.itemsize}")
    exponent = (pattern - recipe.root_half_bits) >> recipe.mantissa_bits
    y = (pattern - (exponent << recipe.mantissa_bits)).view(x.dtype)
    z = (y - 1.0) / (y + 1.0)
    series = _polynomial(recipe.logarithm_terms, z * z)
    result: Floats = exponent.astype(x.dtype) * LOG_2 + (z + z) * series
    return result


def _polynomial(coefficients: Sequence[float], x: Floats, out: Floats | None = None) -> Floats:
    """Horner's rule, constant term first: (...(c[n] x + c[n-1]) x + ...) x + c[0]."""
    result: Floats = np.multiply(x, coefficients[-1], out=out)
    for coefficient in coefficients[-2:0:-1]:
        result += coefficient
        result *= x
    result += coefficients[0]
    return result
