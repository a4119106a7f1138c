// Two charts of the page: the accuracy of cells by their confidence, and of the answered ones by how many they are.
const { answers, bins } = JSON.parse(document.getElementById('confidence-curves').textContent);
const slider = document.getElementById('threshold');
const [LEFT, TOP, WIDTH, HEIGHT] = [44, 12, 284, 210];

function draw(parent, tag, attributes, text = '') {
  const made = document.createElementNS(parent.namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  parent.append(made);
  return made;
}

// a chart whose axes are in percent; `lowest` is where the vertical one begins, as a fraction of 1
function axes(svg, across, up, lowest) {
  const x = (share) => LEFT + WIDTH * share;
  const y = (share) => TOP + (HEIGHT * (1 - share)) / (1 - lowest);
  for (let tick = 0; tick <= 5; tick++) {
    const [across_, up_] = [tick / 5, lowest + (tick * (1 - lowest)) / 5];
    draw(svg, 'line', { x1: LEFT, x2: LEFT + WIDTH, y1: y(up_), y2: y(up_), class: 'grid' });
    draw(svg, 'text', { x: LEFT - 6, y: y(up_) + 4, 'text-anchor': 'end' }, String(Math.round(100 * up_)));
    draw(svg, 'text', { x: x(across_), y: TOP + HEIGHT + 16, 'text-anchor': 'middle' }, String(20 * tick));
  }
  draw(svg, 'text', { x: LEFT + WIDTH / 2, y: TOP + HEIGHT + 34, 'text-anchor': 'middle' }, across);
  const turned = { x: -(TOP + HEIGHT / 2), y: 11, 'text-anchor': 'middle', transform: 'rotate(-90)' };
  draw(svg, 'text', turned, up);
  return { x, y };
}

function drawReliability(svg) {
  const { x, y } = axes(svg, 'confidence (%)', 'right (%)', 0);
  for (const bin of bins) {
    const middle = x((bin.low + bin.high) / 2);
    const bar = draw(svg, 'rect', {
      class: 'bar',
      x: x(bin.low) + 1,
      y: y(bin.accuracy),
      width: x(bin.high) - x(bin.low) - 2,
      height: y(0) - y(bin.accuracy),
    });
    draw(bar, 'title', {}, bin.sentence);
    draw(svg, 'line', { x1: middle, x2: middle, y1: y(bin.interval[0]), y2: y(bin.interval[1]), class: 'bounds' });
    draw(svg, 'circle', { cx: x(bin.confidence), cy: y(bin.accuracy), r: 3, class: 'point' });
    const short = bin.cells < 1000 ? String(bin.cells) : `${(bin.cells / 1000).toPrecision(2)}k`;
    draw(svg, 'text', { x: middle, y: TOP + HEIGHT + 50, 'text-anchor': 'middle', class: 'small' }, short);
  }
  draw(svg, 'text', { x: LEFT - 6, y: TOP + HEIGHT + 50, 'text-anchor': 'end', class: 'small' }, 'cells');
  draw(svg, 'line', { x1: x(0), x2: x(1), y1: y(0), y2: y(1), class: 'ideal' });
}

function drawAbstention(svg) {
  const known = answers.filter((row) => row.accuracy !== null);
  const least = Math.min(...known.map((row) => row.interval[0]), 1);
  const lowest = [0.75, 0.5, 0].find((share) => share <= least); // whose five steps are whole numbers
  const { x, y } = axes(svg, 'cells answered (%)', 'of them right (%)', lowest);
  const path = (rows, value) => rows.map((row) => `${x(row.coverage)},${y(value(row))}`).join(' ');
  const [low, high] = [path(known, (row) => row.interval[0]), path(known.toReversed(), (row) => row.interval[1])];
  draw(svg, 'polygon', { points: `${low} ${high}`, class: 'band' });
  draw(svg, 'polyline', { points: path(known, (row) => row.accuracy), class: 'curve' });
  const mark = draw(svg, 'circle', { r: 5, class: 'mark' });
  return (row) => {
    mark.style.display = row.accuracy === null ? 'none' : '';
    if (row.accuracy === null) return;
    mark.setAttribute('cx', x(row.coverage));
    mark.setAttribute('cy', y(row.accuracy));
  };
}

drawReliability(document.getElementById('reliability'));
const setMark = drawAbstention(document.getElementById('abstention'));

function update() {
  const row = answers[Math.round(100 * Number(slider.value))];
  document.getElementById('answered').textContent = row.sentence;
  slider.setAttribute('aria-valuetext', row.sentence);
  setMark(row);
}

slider.addEventListener('input', update);
slider.addEventListener('redraw', update); // set by a link
update();
