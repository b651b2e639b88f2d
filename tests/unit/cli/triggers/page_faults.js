// Returns what makes a page hard to read on a screen of a width: one text for each fault.
(width) => {
  const faults = [];
  const numbers = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = (color) => {
    const [r, g, b] = numbers(color).map((n) => n / 255)
      .map((n) => (n <= 0.04045 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if ((numbers(color)[3] ?? 1) > 0) return color;
    }
    return "rgb(255, 255, 255)";
  };

  const wide = document.documentElement.scrollWidth;
  if (wide > width) faults.push(`the page is ${wide} pixels wide`);

  const parts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const text = node.data.trim().slice(0, 40);
    const style = getComputedStyle(node.parentElement);
    if (!text || style.visibility !== "visible") continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const rects = [...range.getClientRects()].filter((rect) => rect.width > 0);
    if (!rects.length) continue;
    const isBroken = rects.some((rect) => Math.abs(rect.top - rects[0].top) > 2);
    if (isBroken && /^([\d.,]+|[\d-]+T[\d:]+Z)$/.test(text)) faults.push(`broken: ${text}`);
    const color = node.parentElement instanceof SVGElement ? style.fill : style.color;
    const found = contrast(color, behind(node.parentElement));
    if (found < 4.5) faults.push(`contrast ${found.toFixed(1)}: ${text}`);
    for (const rect of rects) {
      if (rect.height < 12) faults.push(`${rect.height.toFixed(1)} pixels high: ${text}`);
      if (rect.left < 0 || rect.right > width + 0.5) faults.push(`beyond the edge: ${text}`);
      parts.push({ rect, text });
    }
  }
  parts.sort((one, other) => one.rect.top - other.rect.top);
  parts.forEach(({ rect, text }, index) => {
    for (let next = index + 1; next < parts.length; next++) {
      const other = parts[next].rect;
      // Lines of a paragraph may share a pixel or two, where no letter is.
      if (other.top >= rect.bottom - 4) break;
      const shared = Math.min(rect.right, other.right) - Math.max(rect.left, other.left);
      if (shared > 1) faults.push(`overlaps: ${text} | ${parts[next].text}`);
    }
  });
  for (const bar of document.querySelectorAll(".bar, .hot")) {
    const style = getComputedStyle(bar);
    const color = bar instanceof SVGElement ? style.fill : style.backgroundColor;
    if (contrast(color, behind(bar.parentElement)) < 3) faults.push("a bar is hard to see");
  }
  return [...new Set(faults)];
}
