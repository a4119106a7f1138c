// The pictures of a gallery: sorted and filtered.
const { made, image, percent, bar, pages } = window.pictureGrid;
const { classes, rows } = JSON.parse(document.getElementById('rows').textContent);
const controls = document.getElementById('controls');

const confidence = (row) => row.top[0][1];
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

const picture = (row) => {
  const figure = document.createElement('figure');
  const words = document.createElement('figcaption');
  words.append(made('b', '', `${classes[row.top[0][0]]} ${percent(confidence(row))}`));
  if (row.label >= 0) {
    words.append(made('span', isWrong(row) ? 'mark wrong' : 'soft', isWrong(row) ? `wrong: it is ${classes[row.label]}` : 'right'));
  }
  words.append(...row.top.map(([place, share]) => bar(classes[place], share)));
  if (row.uncertain) words.append(made('span', 'mark uncertain', row.uncertain));
  if (row.unlike) words.append(made('span', 'mark unlike', `unlike the training cells: ${row.unlike}`));
  if (row.note) words.append(made('span', 'soft', row.note));
  words.append(made('span', 'file', row.file));
  figure.append(image(row.picture, row.file), words);
  return figure;
};

const shown = pages(picture, 'picture', rows.length);

const choose = () => {
  const asked = Object.fromEntries(new FormData(controls));
  const least = Number(asked.least) / 100;
  const most = Number(asked.most || 100) / 100;
  const within = (row) => confidence(row) >= least && confidence(row) <= most;
  const predicted = (row) => asked.prediction === '' || row.top[0][0] === Number(asked.prediction);
  const labelled = (row) => !asked.label || row.label === Number(asked.label);
  shown.show(
    rows
      .filter((row) => within(row) && predicted(row) && labelled(row) && marks[asked.mark](row))
      .toSorted(orders[asked.order]),
  );
};

controls.addEventListener('input', choose);
controls.addEventListener('submit', (event) => event.preventDefault());
document.getElementById('all').addEventListener('click', () => {
  controls.reset();
  choose();
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
