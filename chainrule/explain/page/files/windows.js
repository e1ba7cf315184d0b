// Convolution with its two gradients, and sliding windows. Spatial dimensions are all after the first two.

/** Which entry of the input (flattened over the spatial dimensions) each window meets at each kernel offset. Calls
 *  visit(window, offset, input); what falls into the padding is left out. */
function meetings(size, out, kernel, { stride, padding, dilation }, visit) {
  const steps = stridesOf(size), both = [...out, ...kernel], spatial = size.length, kernels = sizeOf(kernel);
  const index = new Array(both.length).fill(0), total = sizeOf(both);
  for (let place = 0; place < total; place++) {
    let input = 0;
    for (let axis = 0; axis < spatial; axis++) {
      const i = index[axis] * stride[axis] + index[spatial + axis] * dilation[axis] - (padding ? padding[axis] : 0);
      if (i < 0 || i >= size[axis]) { input = -1; break; }
      input += i * steps[axis];
    }
    if (input >= 0) visit(Math.floor(place / kernels), place % kernels, input);
    for (let axis = both.length - 1; axis >= 0; axis--) {
      if (++index[axis] < both[axis]) break;
      index[axis] = 0;
    }
  }
}

/** Calls visit(place in x, place in w, place in y) for every product that a convolution adds up. */
function convolve(xShape, wShape, yShape, settings, visit) {
  const [count, channels, ...size] = xShape, [outputs, each, ...kernel] = wShape, out = yShape.slice(2);
  const met = [];
  meetings(size, out, kernel, settings, (window, offset, input) => met.push([window, offset, input]));
  const inputs = sizeOf(size), windows = sizeOf(out), offsets = sizeOf(kernel), perGroup = outputs / settings.groups;
  for (let n = 0; n < count; n++) {
    for (let o = 0; o < outputs; o++) {
      for (let c = 0; c < each; c++) {
        const channel = Math.floor(o / perGroup) * each + c;
        const x = (n * channels + channel) * inputs, w = (o * each + c) * offsets, y = (n * outputs + o) * windows;
        for (const [window, offset, input] of met) visit(x + input, w + offset, y + window);
      }
    }
  }
}

Object.assign(meanings, {
  Convolution: ([x, w], settings, [form]) => {
    const y = new Float64Array(sizeOf(form.shape));
    convolve(x.shape, w.shape, form.shape, settings, (i, j, k) => { y[k] += x.data[i] * w.data[j]; });
    return [y];
  },
  ConvolutionTranspose: ([y, w], settings, [form]) => {
    const x = new Float64Array(sizeOf(form.shape));
    convolve(form.shape, w.shape, y.shape, settings, (i, j, k) => { x[i] += y.data[k] * w.data[j]; });
    return [x];
  },
  ConvolutionWeight: ([x, y], settings, [form]) => {
    const w = new Float64Array(sizeOf(form.shape));
    convolve(x.shape, form.shape, y.shape, settings, (i, j, k) => { w[j] += x.data[i] * y.data[k]; });
    return [w];
  },
});

// -------------------------------------------------------------------------------------------- windows

/** For every (sample, channel): calls visit(window, offset, input) with places in the whole arrays. */
function eachWindow(shape, out, settings, visit) {
  const planes = shape[0] * shape[1], size = shape.slice(2), inputs = sizeOf(size), windows = sizeOf(out);
  const offsets = sizeOf(settings.kernel);
  meetings(size, out, settings.kernel, { ...settings, padding: null }, (window, offset, input) => {
    for (let plane = 0; plane < planes; plane++) {
      const place = plane * windows + window;
      visit(place, place * offsets + offset, plane * inputs + input, input);
    }
  });
}

Object.assign(meanings, {
  Windows: ([x], settings, [form]) => {
    const result = new Float64Array(sizeOf(form.shape)), out = form.shape.slice(2, x.shape.length);
    eachWindow(x.shape, out, settings, (_, entry, input) => { result[entry] = x.data[input]; });
    return [result];
  },
  Fold: ([x], settings, [form]) => {
    const result = new Float64Array(sizeOf(form.shape)), out = x.shape.slice(2, form.shape.length);
    eachWindow(form.shape, out, settings, (_, entry, input) => { result[input] += x.data[entry]; });
    return [result];
  },
  WindowSum: ([x], settings, [form]) => {
    const result = new Float64Array(sizeOf(form.shape));
    eachWindow(x.shape, form.shape.slice(2), settings, (window, _, input) => { result[window] += x.data[input]; });
    return [result];
  },

  /** The first of equals is taken; a NaN beats all, the last of several. Where all entries are the −∞ of the padding,
   *  the place is the first that is none. */
  MaxPool: ([x], settings, forms) => {
    const size = sizeOf(forms[0].shape), values = new Float64Array(size).fill(-Infinity);
    const indices = new Float64Array(size).fill(-1), steps = stridesOf(x.shape.slice(2));
    const isPadding = input => (settings.padding ?? []).some((p, axis) => Math.floor(input / steps[axis]) % x.shape[axis + 2] < p);
    eachWindow(x.shape, forms[0].shape.slice(2), settings, (window, _, input, within) => {
      const v = x.data[input];
      const firstReal = v === -Infinity && values[window] === -Infinity && indices[window] >= 0 &&
        isPadding(indices[window]) && !isPadding(within);
      if (indices[window] < 0 || v > values[window] || Number.isNaN(v) || firstReal) indices[window] = within;
      values[window] = Math.max(values[window], v);
    });
    return [values, indices];
  },
  MaxPoolGradient: ([y, indices], _, [form]) => {
    const result = new Float64Array(sizeOf(form.shape)), places = sizeOf(form.shape.slice(2));
    const windows = sizeOf(indices.shape.slice(2));
    indices.data.forEach((place, i) => { result[Math.floor(i / windows) * places + place] += y.data[i]; });
    return [result];
  },
});
