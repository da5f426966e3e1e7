// Every text whose contrast against what is behind it is below 4.5 (WCAG 2.2, success criterion 1.4.3).
() => {
  const numbers = (text) => (text.match(/[\d.]+/g) || []).map(Number);
  const linear = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const luminance = (colour) => {
    const [red, green, blue] = colour.slice(0, 3).map((value) => linear(value / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = (start) => {
    for (let one = start; one; one = one.parentElement) {
      const colour = numbers(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return numbers(getComputedStyle(document.documentElement).backgroundColor);
  };
  const hasText = (one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  const poor = [];
  for (const one of document.querySelectorAll("body *")) {
    if (!hasText(one) || !one.getClientRects().length) continue;
    const style = getComputedStyle(one);
    const isSvg = one instanceof SVGElement;
    const fore = luminance(numbers(isSvg ? style.fill : style.color));
    const back = luminance(behind(isSvg ? one.ownerSVGElement.parentElement : one));
    const ratio = (Math.max(fore, back) + 0.05) / (Math.min(fore, back) + 0.05);
    if (ratio < 4.5) poor.push(`${one.tagName}.${one.className.baseVal ?? one.className}: ${ratio.toFixed(2)}`);
  }
  return poor;
}
