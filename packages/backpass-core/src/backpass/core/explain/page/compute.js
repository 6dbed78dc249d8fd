// The recorded operations on numbers, forward and back: what the page computes when an input is
// changed. Nothing here touches the page.
//
// A formula is a tree, as `backpass.core.rules.expression` gives it: a number, a letter, or
// ["name", operand, ...]. Functions are looked up by name; no text is ever run as a program.
"use strict";

const truth = (x) => (x ? 1 : 0);

/** Round to the nearest whole number, halves to the even one, as NumPy does. */
function rint(x) {
  const below = Math.floor(x);
  const apart = x - below;
  if (apart !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}

/** Raise to a power; 1 to any power is 1, as in IEEE 754 and unlike JavaScript. */
function power(x, y) {
  if (x === 1 || (x === -1 && Math.abs(y) === Infinity)) return 1;
  return x ** y;
}

/** Return x - floor(x / y) * y, with the sign of y. */
function remainder(x, y) {
  const r = x % y;
  return r !== 0 && r < 0 !== y < 0 ? r + y : r;
}

function logaddexp(x, y) {
  if (x === y) return x + Math.LN2;
  const apart = x - y;
  if (Number.isNaN(apart)) return apart;
  return Math.max(x, y) + Math.log1p(Math.exp(-Math.abs(apart)));
}

/** The error function: its series near 0, a continued fraction of its complement beyond. */
function erf(x) {
  const a = Math.abs(x);
  if (a >= 2.5) return Math.sign(x) * (1 - erfc(a));
  let term = x;
  let sum = x;
  for (let n = 1; n < 80; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

function erfc(x) {
  if (x < 2.5) return 1 - erf(x);
  let tail = 0;
  for (let n = 120; n > 0; n--) tail = n / 2 / (x + tail);
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * (x + tail));
}

/** A number that is not there counts as the other one. */
const pick = (choose) => (x, y) =>
  Number.isNaN(x) ? y : Number.isNaN(y) ? x : choose(x, y);

const FUNCTIONS = {
  __proto__: null,
  positive: (x) => x,
  negative: (x) => -x,
  conj: (x) => x,
  real: (x) => x,
  add: (x, y) => x + y,
  subtract: (x, y) => x - y,
  multiply: (x, y) => x * y,
  divide: (x, y) => x / y,
  floor_divide: (x, y) => (y === 0 ? Math.floor(x / y) : Math.floor((x - remainder(x, y)) / y + 0.5)),
  remainder,
  fmod: (x, y) => x % y,
  power,
  float_power: power,
  reciprocal: (x) => 1 / x,
  square: (x) => x * x,
  sqrt: Math.sqrt,
  cbrt: Math.cbrt,
  absolute: Math.abs,
  fabs: Math.abs,
  exp: Math.exp,
  exp2: (x) => 2 ** x,
  expm1: Math.expm1,
  log: Math.log,
  log2: Math.log2,
  log10: Math.log10,
  log1p: Math.log1p,
  expit: (x) => 1 / (1 + Math.exp(-x)),
  logaddexp,
  logaddexp2: (x, y) => logaddexp(x * Math.LN2, y * Math.LN2) / Math.LN2,
  erf,
  erfc,
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  arcsin: Math.asin,
  arccos: Math.acos,
  arctan: Math.atan,
  arctan2: Math.atan2,
  sinh: Math.sinh,
  cosh: Math.cosh,
  tanh: Math.tanh,
  arcsinh: Math.asinh,
  arccosh: Math.acosh,
  arctanh: Math.atanh,
  hypot: Math.hypot,
  deg2rad: (x) => (x * Math.PI) / 180,
  rad2deg: (x) => (x * 180) / Math.PI,
  sinc: (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x)),
  sign: Math.sign,
  floor: Math.floor,
  ceil: Math.ceil,
  trunc: Math.trunc,
  rint,
  maximum: Math.max,
  minimum: Math.min,
  fmax: pick(Math.max),
  fmin: pick(Math.min),
  isnan: (x) => truth(Number.isNaN(x)),
  isinf: (x) => truth(Math.abs(x) === Infinity),
  isfinite: (x) => truth(Number.isFinite(x)),
  equal: (x, y) => truth(x === y),
  not_equal: (x, y) => truth(x !== y),
  less: (x, y) => truth(x < y),
  less_equal: (x, y) => truth(x <= y),
  greater: (x, y) => truth(x > y),
  greater_equal: (x, y) => truth(x >= y),
  logical_and: (x, y) => truth(x && y),
  logical_or: (x, y) => truth(x || y),
  logical_not: (x) => truth(!x),
  where: (c, x, y) => (c ? x : y),
  // The strong zero: a cotangent of 0 stays 0, whatever it is multiplied by.
  zero_multiply: (x, y) => (x === 0 ? 0 : x * y),
  zero_product: (x, y) => (x === 0 || y === 0 ? 0 : x * y),
};

const CONSTANTS = { __proto__: null, inf: Infinity, nan: NaN, "-inf": -Infinity };

/** How numbers of a type are rounded; a type that is missing cannot be computed with here. */
const ROUNDING = {
  __proto__: null,
  float64: (x) => x,
  float: (x) => x,
  float32: Math.fround,
  int: (x) => x,
  int64: (x) => x,
  bool: (x) => x,
};

/** Return a number that JSON may not have been able to hold. */
const numberOf = (x) => (typeof x === "string" ? CONSTANTS[x] : x);

/** Compute a formula; `letters` is a Map of its letters. */
function evaluate(tree, letters) {
  if (typeof tree === "number") return tree;
  if (typeof tree === "string") return letters.has(tree) ? letters.get(tree) : CONSTANTS[tree];
  const operands = tree.slice(1).map((operand) => evaluate(operand, letters));
  return FUNCTIONS[tree[0]](...operands);
}

/** Return the first function in a formula that is not to be had here; "" if all are. */
function unknownIn(tree) {
  if (!Array.isArray(tree)) return "";
  if (!(tree[0] in FUNCTIONS)) return tree[0];
  return tree.slice(1).map(unknownIn).find(Boolean) || "";
}

/** Say why the trace cannot be computed anew; "" if it can. */
function obstacle(trace) {
  for (const v of trace.variables) {
    const name = v.call ? `${v.label} = ${v.call}` : v.label;
    if (v.number === null) return `${name} is not a single number.`;
    if (!(v.dtype in ROUNDING)) return `${name} is of type ${v.dtype}.`;
    if (!v.operation) continue;
    if (v.keywords) return `${name} has keywords, which this page does not know.`;
    if (!(v.operation in FUNCTIONS)) return `${name}: this page does not know ${v.operation}.`;
  }
  for (const step of trace.steps) {
    const v = trace.variables[step.variable];
    for (const c of step.contributions) {
      if (c.rule === null) return `${v.label} = ${v.call}: its rule is not an expression.`;
      const name = unknownIn(c.rule);
      if (name) return `the derivative of ${v.label} = ${v.call} needs ${name}, not known here.`;
    }
  }
  return "";
}

/**
 * Compute everything from new inputs.
 *
 * `inputs` is a Map from a variable's index to its number. Returns the values, the complete
 * cotangents (undefined where none arrives), and for each step what each contribution adds, the
 * local derivative, and the sum so far.
 */
function recompute(trace, inputs) {
  const values = [];
  for (const v of trace.variables) {
    const round = ROUNDING[v.dtype];
    if (v.operation) {
      const operands = v.operands.map((i) => values[i]);
      values.push(round(FUNCTIONS[v.operation](...operands)));
    } else {
      const at = values.length;
      values.push(inputs.has(at) ? round(inputs.get(at)) : numberOf(v.number));
    }
  }
  const cotangents = [];
  cotangents[trace.output] = 1;
  const steps = trace.steps.map((step) => {
    const v = trace.variables[step.variable];
    const letters = new Map([
      ["g", cotangents[step.variable]],
      ["ans", values[step.variable]],
    ]);
    v.parameters.forEach((name, i) => letters.set(name, values[v.operands[i]]));
    return step.contributions.map((c) => {
      const round = ROUNDING[trace.variables[c.variable].dtype];
      const value = round(evaluate(c.rule, letters));
      const before = cotangents[c.variable];
      const total = before === undefined ? value : round(before + value);
      cotangents[c.variable] = total;
      return { value, total };
    });
  });
  return { values, cotangents, steps };
}
