'use strict';

// The cells of a smear: sorted, filtered, and put on the page a step at a time; a box leads to its cell and back.
const STEP = 120;
const { classes, colors, rows } = JSON.parse(document.getElementById('rows').textContent);
const controls = document.getElementById('controls');
const grid = document.getElementById('grid');
const more = document.getElementById('more');
const shownLine = document.getElementById('status');

let chosen = []; // the rows that the controls leave, in their order
let shown = 0; // how many of them are on the page

const made = (tag, name, text) => {
  const element = document.createElement(tag);
  element.className = name;
  element.textContent = text; // text alone: a file name is never read as markup
  return element;
};

const confidence = (row) => row.top.length ? row.top[0][1] : 0;
const percent = (share) => (share >= 0.9995 ? 'over 99.9%' : `${(100 * share).toFixed(1)}%`);
const first = (row) => row.top.length ? row.top[0][0] : classes.length;

const marks = {
  any: () => true,
  none: (row) => !row.uncertain && !row.unlike,
  uncertain: (row) => row.uncertain !== '',
  unlike: (row) => row.unlike !== '',
};

const orders = {
  place: (a, b) => a.number - b.number,
  uncertain: (a, b) => confidence(a) - confidence(b),
  certain: (a, b) => confidence(b) - confidence(a),
  class: (a, b) => first(a) - first(b) || confidence(b) - confidence(a),
  size: (a, b) => b.size - a.size,
};

const bar = ([place, share]) => {
  const line = made('div', 'chance', '');
  const track = made('span', 'track', '');
  const filled = made('span', 'filled', '');
  filled.style.width = `${100 * share}%`;
  filled.style.background = colors[place];
  track.append(filled);
  line.append(made('span', 'class-name', classes[place]), track, made('span', 'share', percent(share)));
  return line;
};

const image = (name, bytes, words) => {
  const element = made('img', name, '');
  element.src = `data:image/jpeg;base64,${bytes}`;
  element.alt = words;
  return element;
};

const boxOf = (number) => document.querySelector(`rect[data-cell="${number}"]`);

const cell = (row) => {
  const figure = document.createElement('figure');
  figure.id = `cell-${row.number}`;
  const pictures = made('div', 'pictures', '');
  if (row.picture) pictures.append(image('crop', row.picture, `crop of cell ${row.number}`));
  if (row.map) pictures.append(image('map', row.map, `heat map of cell ${row.number}`));
  const words = document.createElement('figcaption');
  words.append(made('b', '', row.top.length ? `${classes[first(row)]} ${percent(confidence(row))}` : 'no answer'));
  words.append(...row.top.map(bar));
  if (row.uncertain) words.append(made('span', 'mark uncertain', row.uncertain));
  if (row.unlike) words.append(made('span', 'mark unlike', `unlike the training cells: ${row.unlike}`));
  if (row.error) words.append(made('span', 'mark', row.error));
  const place = made('button', 'place', row.place);
  place.type = 'button';
  place.addEventListener('click', () => show(boxOf(row.number)));
  if (!boxOf(row.number)) place.disabled = true;
  words.append(place);
  figure.append(pictures, words);
  return figure;
};

const show = (element) => {
  for (const one of document.querySelectorAll('.found')) one.classList.remove('found');
  if (!element) return;
  element.classList.add('found');
  element.scrollIntoView({ block: 'center' });
};

const showMore = () => {
  const next = chosen.slice(shown, shown + STEP);
  grid.append(...next.map(cell));
  shown += next.length;
  more.hidden = shown === chosen.length;
  const all = chosen.length === rows.length ? '' : ` (of ${rows.length.toLocaleString('en')} in all)`;
  shownLine.textContent = chosen.length
    ? `${shown.toLocaleString('en')} of ${chosen.length.toLocaleString('en')} cells shown${all}`
    : `No cell is so${all}`;
};

const choose = () => {
  const asked = Object.fromEntries(new FormData(controls));
  const predicted = (row) => asked.prediction === '' || first(row) === Number(asked.prediction);
  chosen = rows.filter((row) => predicted(row) && marks[asked.mark](row)).toSorted(orders[asked.order]);
  grid.classList.toggle('without-maps', !asked.maps);
  shown = 0;
  grid.replaceChildren();
  showMore();
};

controls.addEventListener('input', choose);
controls.addEventListener('submit', (event) => event.preventDefault());
more.addEventListener('click', showMore);
for (const box of document.querySelectorAll('rect[data-cell]')) {
  box.parentNode.addEventListener('click', (event) => {
    event.preventDefault();
    const id = `cell-${box.dataset.cell}`;
    if (!chosen.some((row) => String(row.number) === box.dataset.cell)) {
      controls.reset();
      choose();
    }
    while (!document.getElementById(id) && shown < chosen.length) showMore();
    show(document.getElementById(id));
  });
}
choose();
