'use strict';

// The pictures of a gallery: sorted, filtered, and put on the page a step at a time, so that thousands stay quick.
const STEP = 120;
const { classes, rows } = JSON.parse(document.getElementById('rows').textContent);
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

const confidence = (row) => row.top[0][1];
const percent = (share) => (share >= 0.9995 ? 'over 99.9%' : `${(100 * share).toFixed(1)}%`);
const isWrong = (row) => row.label >= 0 && row.label !== row.top[0][0];

const marks = {
  any: () => true,
  none: (row) => !row.uncertain && !row.unlike && !isWrong(row),
  uncertain: (row) => row.uncertain !== '',
  unlike: (row) => row.unlike !== '',
  wrong: isWrong,
};

const orders = {
  uncertain: (a, b) => confidence(a) - confidence(b),
  certain: (a, b) => confidence(b) - confidence(a),
  file: (a, b) => a.place - b.place,
};

const bar = ([place, share]) => {
  const line = made('div', 'chance', '');
  const track = made('span', 'track', '');
  const filled = made('span', 'filled', '');
  filled.style.width = `${100 * share}%`;
  track.append(filled);
  line.append(made('span', 'class-name', classes[place]), track, made('span', 'share', percent(share)));
  return line;
};

const picture = (row) => {
  const figure = document.createElement('figure');
  const image = document.createElement('img');
  image.src = `data:image/jpeg;base64,${row.picture}`;
  image.alt = row.file;
  const words = document.createElement('figcaption');
  words.append(made('b', '', `${classes[row.top[0][0]]} ${percent(confidence(row))}`));
  if (row.label >= 0) {
    words.append(made('span', isWrong(row) ? 'mark wrong' : 'soft', isWrong(row) ? `wrong: it is ${classes[row.label]}` : 'right'));
  }
  words.append(...row.top.map(bar));
  if (row.uncertain) words.append(made('span', 'mark uncertain', row.uncertain));
  if (row.unlike) words.append(made('span', 'mark unlike', `unlike the training cells: ${row.unlike}`));
  if (row.note) words.append(made('span', 'soft', row.note));
  words.append(made('span', 'file', row.file));
  figure.append(image, words);
  return figure;
};

const showMore = () => {
  const next = chosen.slice(shown, shown + STEP);
  grid.append(...next.map(picture));
  shown += next.length;
  more.hidden = shown === chosen.length;
  const all = chosen.length === rows.length ? '' : ` (of ${rows.length.toLocaleString('en')} in all)`;
  shownLine.textContent = chosen.length
    ? `${shown.toLocaleString('en')} of ${chosen.length.toLocaleString('en')} pictures shown${all}`
    : `No picture is so${all}`;
};

const choose = () => {
  const asked = Object.fromEntries(new FormData(controls));
  const least = Number(asked.least) / 100;
  const most = Number(asked.most || 100) / 100;
  const within = (row) => confidence(row) >= least && confidence(row) <= most;
  const predicted = (row) => asked.prediction === '' || row.top[0][0] === Number(asked.prediction);
  const labelled = (row) => !asked.label || row.label === Number(asked.label);
  chosen = rows
    .filter((row) => within(row) && predicted(row) && labelled(row) && marks[asked.mark](row))
    .toSorted(orders[asked.order]);
  shown = 0;
  grid.replaceChildren();
  showMore();
};

controls.addEventListener('input', choose);
controls.addEventListener('submit', (event) => event.preventDefault());
document.getElementById('all').addEventListener('click', () => {
  controls.reset();
  choose();
});
more.addEventListener('click', () => {
  const first = shown;
  showMore();
  // who came by keyboard goes on with the first new picture
  grid.children[first].tabIndex = -1;
  grid.children[first].focus({ preventScroll: true });
});
for (const count of document.querySelectorAll('button[data-label]')) {
  count.addEventListener('click', () => {
    controls.reset();
    controls.elements.label.value = count.dataset.label;
    controls.elements.prediction.value = count.dataset.prediction;
    choose();
    document.getElementById('pictures').scrollIntoView();
  });
}
choose();
