// The cells of a smear: sorted and filtered; a box leads to its cell and back.
const { made, image, percent, bar, pages } = window.pictureGrid;
const { classes, colors, rows } = JSON.parse(document.getElementById('rows').textContent);
const controls = document.getElementById('controls');

const confidence = (row) => (row.top.length ? row.top[0][1] : 0);
const first = (row) => (row.top.length ? row.top[0][0] : classes.length);

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

const show = (element) => {
  for (const one of document.querySelectorAll('.found')) one.classList.remove('found');
  element.classList.add('found');
  element.scrollIntoView({ block: 'center' });
};

const cell = (row) => {
  const figure = document.createElement('figure');
  figure.id = `cell-${row.number}`;
  const pictures = made('div', 'pictures', '');
  if (row.picture) pictures.append(image(row.picture, `crop of cell ${row.number}`));
  if (row.map) {
    const map = image(row.map, `heat map of cell ${row.number}`);
    map.className = 'map';
    pictures.append(map);
  }
  const words = document.createElement('figcaption');
  words.append(made('b', '', row.top.length ? `${classes[first(row)]} ${percent(confidence(row))}` : 'no answer'));
  words.append(...row.top.map(([place, share]) => bar(classes[place], share, colors[place])));
  if (row.uncertain) words.append(made('span', 'mark uncertain', row.uncertain));
  if (row.unlike) words.append(made('span', 'mark unlike', `unlike the training cells: ${row.unlike}`));
  if (row.error) words.append(made('span', 'mark', row.error));
  const box = document.querySelector(`rect[data-cell="${row.number}"]`);
  const place = made('button', 'place', row.place);
  place.type = 'button';
  place.disabled = !box; // of a field that the page has no room for
  place.addEventListener('click', () => show(box));
  words.append(place);
  figure.append(pictures, words);
  return figure;
};

const shown = pages(cell, 'cell', rows.length);
let chosen = []; // the rows that the controls leave, in their order

const choose = () => {
  const asked = Object.fromEntries(new FormData(controls));
  const predicted = (row) => asked.prediction === '' || first(row) === Number(asked.prediction);
  chosen = rows.filter((row) => predicted(row) && marks[asked.mark](row)).toSorted(orders[asked.order]);
  document.getElementById('grid').classList.toggle('without-maps', !asked.maps);
  shown.show(chosen);
};

controls.addEventListener('input', choose);
controls.addEventListener('submit', (event) => event.preventDefault());
for (const box of document.querySelectorAll('rect[data-cell]')) {
  const row = rows[Number(box.dataset.cell) - 1];
  box.parentNode.addEventListener('click', (event) => {
    event.preventDefault();
    if (!chosen.includes(row)) {
      controls.reset();
      choose();
    }
    show(shown.reach(row));
  });
}
choose();
