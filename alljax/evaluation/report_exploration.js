// The tested cells of the page, by class, slide and confidence. All of them are in the page, as JSON; the controls hold
// the choice, and what differs from the first one stands in the fragment of the address.
const STEP = 60; // cells shown at once
const byId = (id) => document.getElementById(id);
const read = (id) => JSON.parse(byId(id).textContent);
const cells = read('tested-cells');
const { classes, groups } = cells;
const form = byId('filters');
const total = cells.name.length;
const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)}%`;
const isRight = (cell) => cells.label[cell] === cells.prediction[cell];

// most cells are never looked at, so their pictures are read when the first one is
let kept;
const pictures = () => (kept ??= read('cell-pictures'));

function make(tag, properties, ...children) {
  const made = document.createElement(tag);
  Object.assign(made, properties);
  made.append(...children);
  return made;
}

const choice = () => Object.fromEntries(new FormData(form));

function inRepeat(cell, { repeat }) {
  return repeat === undefined || repeat === 'all' || cells.repeat[cell] === Number(repeat);
}

function isUncertain(cell, { at }) {
  return cells.uncertain ? cells.uncertain[cell] === 1 : cells.confidence[cell] < Number(at) - 1e-9;
}

const ONLY = {
  '': () => true,
  mistakes: (cell) => !isRight(cell),
  right: isRight,
  uncertain: isUncertain,
};

function isChosen(cell, chosen) {
  const confidence = 100 * cells.confidence[cell];
  return (
    inRepeat(cell, chosen) &&
    (chosen.true === '' || classes[cells.label[cell]] === chosen.true) &&
    (chosen.predicted === '' || classes[cells.prediction[cell]] === chosen.predicted) &&
    (chosen.group === '' || groups[cells.group[cell]] === chosen.group) &&
    confidence >= Number(chosen.from || 0) - 1e-9 &&
    confidence <= Number(chosen.to || 100) + 1e-9 &&
    ONLY[chosen.only](cell, chosen)
  );
}

const names = new Intl.Collator('en', { numeric: true });
const ORDERS = {
  '': (a, b) => cells.confidence[a] - cells.confidence[b],
  confident: (a, b) => cells.confidence[b] - cells.confidence[a],
  group: (a, b) => names.compare(groups[cells.group[a]], groups[cells.group[b]]),
  file: (a, b) => names.compare(cells.name[a], cells.name[b]),
};

function picture(base64, alt) {
  return make('img', { src: `data:image/jpeg;base64,${base64}`, alt, decoding: 'async' });
}

function bars(cell) {
  const list = make('ul', { className: 'shares' });
  for (let place = 0; place < cells.shares[cell].length; place += 2) {
    const [name, thousandths] = [classes[cells.shares[cell][place]], cells.shares[cell][place + 1]];
    const row = make('li', {}, make('span', {}, name), make('span', {}, percent(thousandths / 1000)));
    row.style.setProperty('--share', thousandths / 1000);
    list.append(row);
  }
  return list;
}

// several repetitions have a model each, and a map is of the first one's
function heatMap(cell) {
  const maps = pictures().heat_maps;
  const name = cells.name[cell];
  if (!Object.hasOwn(maps, name) || cells.repeat?.[cell] !== cells.repeat?.[0]) return [];
  return [picture(maps[name], 'heat map')];
}

function card(cell) {
  const [label, prediction] = [classes[cells.label[cell]], classes[cells.prediction[cell]]];
  const shown = make('div', { className: 'pair' });
  const place = cells.picture[cell];
  shown.append(place < 0 ? make('span', {}, 'no picture kept') : picture(pictures().cells[place], ''));
  shown.append(...heatMap(cell));
  const words = [`${cells.unit} ${groups[cells.group[cell]]}`];
  if (cells.fold) words.push(`fold ${cells.fold[cell] + 1}`);
  if (form.elements.repeat) words.push(`repetition ${cells.repeat[cell] + 1}`);
  const caption = make(
    'figcaption',
    {},
    make('b', {}, `${isRight(cell) ? '✓' : '✗'} ${label} → ${prediction}`),
    make('span', { className: 'file' }, cells.name[cell]),
    make('span', { className: 'file' }, words.join(', ')),
  );
  if (cells.uncertain?.[cell]) caption.append(make('span', {}, 'answered “uncertain”'));
  if (cells.set) caption.append(make('span', { className: 'file' }, `set: ${cells.set[cell].replaceAll('|', ', ')}`));
  return make('figure', { className: isRight(cell) ? 'right' : 'wrong', tabIndex: -1 }, shown, caption, bars(cell));
}

let found = [];
let among = total; // cells of the chosen repetition

function showMore() {
  const place = byId('cells');
  const first = place.children.length;
  place.append(...found.slice(first, first + STEP).map(card));
  const left = found.length - place.children.length;
  byId('found').textContent =
    `${found.length.toLocaleString('en')} of ${among.toLocaleString('en')} cells` +
    (left ? `, the first ${place.children.length.toLocaleString('en')} shown` : '');
  byId('more').hidden = !left;
  byId('more').textContent = `Show ${Math.min(STEP, left)} more`;
  return place.children[first];
}

function drawMatrix(chosen) {
  const table = byId('matrix');
  if (!table) return;
  const counts = classes.map(() => classes.map(() => 0));
  for (let cell = 0; cell < total; cell++) {
    if (inRepeat(cell, chosen)) counts[cells.label[cell]][cells.prediction[cell]]++;
  }
  table.classList.toggle('many', classes.length > 12); // whose names are written upward
  const head = make('tr', {}, make('th', { scope: 'col' }, 'true ↓ predicted →'));
  head.append(...classes.map((name) => make('th', { scope: 'col' }, name)));
  const rows = counts.map((row, label) => {
    const n = row.reduce((sum, count) => sum + count, 0);
    const line = make('tr', {}, make('th', { scope: 'row' }, `${classes[label]} (${n.toLocaleString('en')})`));
    line.append(...row.map((count, prediction) => make('td', {}, button(count, n, label, prediction))));
    return line;
  });
  table.tHead?.remove();
  table.tBodies[0]?.remove();
  table.append(make('thead', {}, head), make('tbody', {}, ...rows));
}

function button(count, n, label, prediction) {
  const made = make('button', { type: 'button', disabled: count === 0 }, count.toLocaleString('en'));
  made.style.setProperty('--share', n ? count / n : 0);
  made.classList.toggle('right', label === prediction);
  const share = percent(n ? count / n : 0);
  const what = `${count} ${count === 1 ? 'cell' : 'cells'} of ${classes[label]}`;
  made.title = `${what} taken for ${classes[prediction]}: ${share} of the row`;
  made.setAttribute('aria-label', made.title);
  made.dataset.true = label;
  made.dataset.predicted = prediction;
  made.addEventListener('click', () => {
    const { sort, repeat, at } = choice();
    setChoice({ ...FIRST, sort, repeat, at, true: classes[label], predicted: classes[prediction] });
    update();
    byId('found').scrollIntoView({ block: 'nearest' });
  });
  return made;
}

function markMatrix(chosen) {
  for (const made of document.querySelectorAll('#matrix button')) {
    const [label, prediction] = [classes[made.dataset.true], classes[made.dataset.predicted]];
    made.setAttribute('aria-pressed', String(label === chosen.true && prediction === chosen.predicted));
  }
}

function setChoice(chosen) {
  for (const name of Object.keys(FIRST)) {
    const control = form.elements[name];
    control.value = chosen[name];
    // a link may name a class that this page lacks
    if (control.value === '') control.value = FIRST[name];
  }
  byId('threshold').dispatchEvent(new Event('redraw'));
}

function update() {
  const chosen = choice();
  found = [];
  among = 0;
  for (let cell = 0; cell < total; cell++) {
    if (inRepeat(cell, chosen)) among++;
    if (isChosen(cell, chosen)) found.push(cell);
  }
  found.sort((a, b) => ORDERS[chosen.sort](a, b) || a - b);
  markMatrix(chosen);
  byId('cells').replaceChildren();
  showMore();
  const said = Object.entries(chosen).filter(([name, value]) => value !== FIRST[name]);
  history.replaceState(null, '', location.href.split('#')[0] + (said.length ? `#${new URLSearchParams(said)}` : ''));
}

function fromAddress() {
  setChoice({ ...FIRST, ...Object.fromEntries(new URLSearchParams(location.hash.slice(1))) });
  drawMatrix(choice());
  update();
}

function fillSelects() {
  for (const name of classes) {
    form.elements.true.append(make('option', { value: name }, name));
    form.elements.predicted.append(make('option', { value: name }, name));
  }
  const [wrong, all] = [groups.map(() => 0), groups.map(() => 0)];
  for (let cell = 0; cell < total; cell++) {
    all[cells.group[cell]]++;
    if (!isRight(cell)) wrong[cells.group[cell]]++;
  }
  const order = groups.map((_, group) => group).toSorted((a, b) => wrong[b] - wrong[a] || a - b);
  const words = (group) => `${groups[group]}: ${wrong[group]}/${all[group]} wrong`;
  form.elements.group.append(...order.map((group) => make('option', { value: groups[group] }, words(group))));
}

fillSelects();
const FIRST = choice();
form.addEventListener('submit', (event) => event.preventDefault());
form.addEventListener('reset', (event) => {
  event.preventDefault(); // for it comes before the controls have changed
  setChoice(FIRST);
  drawMatrix(FIRST);
  update();
});
form.addEventListener('change', ({ target }) => {
  if (target.name === 'repeat') drawMatrix(choice());
  update();
});
byId('threshold').addEventListener('change', update);
byId('heat-maps')?.addEventListener('click', ({ target }) => {
  const on = target.getAttribute('aria-pressed') !== 'true';
  target.setAttribute('aria-pressed', String(on));
  byId('cells').classList.toggle('mapped', on);
});
byId('cells').classList.toggle('mapped', byId('heat-maps') !== null);
byId('more').addEventListener('click', () => showMore()?.focus());
addEventListener('hashchange', fromAddress);
fromAddress();
document.documentElement.classList.add('explored');
for (const part of document.querySelectorAll('.scripted')) part.hidden = false;
if (location.hash.length > 1) byId('exploration').scrollIntoView();
