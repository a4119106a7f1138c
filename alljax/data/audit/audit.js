// The pairs of an audit: filters, marks on pairs that are not the same cell, and the groups.csv that follows from them.
'use strict';

const byId = (id) => document.getElementById(id);
const audit = JSON.parse(byId('audit').textContent);
const { files, labels, groups, names } = audit;
const STEP = audit.step; // pairs put into the page at a time: thousands at once would take seconds
const pairs = audit.pairs.map(([first, second, kind, plain, score, oneCell], place) => ({
  place, first, second, kind, plain, score, oneCell: Boolean(oneCell),
  equal: kind === 'same file' || kind === 'same pixels',
  conflict: Boolean(oneCell) && labels[first] !== labels[second],
}));
const pictured = new Map(audit.pictured.map((file, place) => [file, place]));
const quoted = new Map(audit.csv.cells);
const controls = Object.fromEntries(
  ['kind', 'label', 'group', 'text', 'least', 'most', 'conflict', 'marked', 'order'].map((id) => [id, byId(id)]),
);
const marked = new Set(); // places of pairs
const cards = new Map(); // place of a pair that is in the page → its parts
const ends = ({ first, second }) => [first, second];
const either = (pair, holds) => ends(pair).some(holds);
let chosen = pairs;
let judged = judge(marked);
const found = judge(new Set()); // as the audit has it

// --- what follows from the pairs, by the rules of alljax.data.groups

// The lowest number of the connected set that each of `count` nodes is in.
function connected(count, links) {
  const root = Array.from({ length: count }, (_, node) => node);
  const rootOf = (node) => {
    let at = node;
    while (root[at] !== at) {
      root[at] = root[root[at]];
      at = root[at];
    }
    return at;
  };
  for (const [one, other] of links) {
    const [low, high] = [rootOf(one), rootOf(other)].toSorted((a, b) => a - b);
    root[high] = low;
  }
  return root.map((_, node) => rootOf(node));
}

// Group and repeat of each file if the marked pairs are none, and the likely pairs that were never compared then.
function judge(without) {
  const left = pairs.filter(({ place }) => !without.has(place));
  const same = left.filter(({ oneCell }) => oneCell);
  const whole = connected(names.length, left.map((pair) => ends(pair).map((file) => groups[file])));
  const cells = connected(files.length, same.map(ends));
  const seen = new Set(same.flatMap(ends));
  const fields = connected(files.length, left.map(ends));
  return {
    group: groups.map((group) => whole[group]),
    repeat: files.map((_, file) => (seen.has(file) ? files[cells[file]] : '')),
    groups: new Set(groups.map((group) => whole[group])).size,
    cells: new Set(cells).size,
    uncompared: audit.uncompared.filter(([one, other]) => fields[one] !== fields[other]).length,
  };
}

// --- files to take away

const line = (values) => `${values.map((value) => quoted.get(value) ?? value).join(',')}\n`;

function groupsCsv() {
  return audit.csv.groups + files.map((file, place) =>
    line([file, names[judged.group[place]], judged.repeat[place]])).join('');
}

function notSameCsv() {
  return audit.csv.not_same + pairs.filter(({ place }) => marked.has(place))
    .map(({ first, second }) => line([files[first], files[second]])).join('');
}

function download(name, text) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'text/csv;charset=utf-8' }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // a browser that asks where to save is still reading it
  sayWhereTo(name);
}

// Where the file that was taken last belongs; '' for none.
function sayWhereTo(name) {
  for (const node of document.querySelectorAll('.taken')) node.hidden = node.id !== `after-${name}`;
}

// --- marks, which a browser keeps unless it forbids that to a file

const storage = `alljax audit ${audit.key}`;

function remembered() {
  try {
    const kept = JSON.parse(localStorage.getItem(storage) ?? '[]');
    return kept.filter((place) => pairs[place] && !pairs[place].equal);
  } catch {
    return [];
  }
}

function remember() {
  try {
    if (marked.size) localStorage.setItem(storage, JSON.stringify([...marked]));
    else localStorage.removeItem(storage);
  } catch {
    // the marks then last as long as the page is open
  }
}

function changeMarks() {
  judged = judge(marked);
  remember();
  sayWhereTo('');
  for (const [place, card] of cards) showState(pairs[place], card);
  const count = marked.size;
  byId('marks').textContent = count
    ? `${pairsOf(count)} marked: ${judged.groups.toLocaleString('en')} groups (${found.groups.toLocaleString('en')} as ` +
      `found), pictures of ${judged.cells.toLocaleString('en')} different cells (${found.cells.toLocaleString('en')}).`
    : `No pair is marked: ${found.groups.toLocaleString('en')} groups, as found.`;
  byId('undo').disabled = !count;
  byId('not-same').disabled = !count;
  byId('uncompared').hidden = !judged.uncompared;
  byId('uncompared-count').textContent = pairsOf(judged.uncompared);
  if (controls.marked.checked) {
    choose();
    byId('count').focus(); // the button that had it may be gone
  }
}

const pairsOf = (count) => `${count.toLocaleString('en')} ${count === 1 ? 'pair' : 'pairs'}`;

// --- the pairs in the page

function cardOf(pair) {
  const node = byId('card').content.cloneNode(true).firstElementChild;
  const part = (name) => node.querySelector(`.${name}`);
  node.classList.toggle('conflict', pair.conflict);
  part('kind').textContent = pair.kind;
  part('score').textContent = pair.score.toFixed(2);
  if (pair.conflict) part('told').textContent = `labels ${labels[pair.first]} and ${labels[pair.second]}`;
  ends(pair).forEach((file, side) => {
    const picture = node.querySelectorAll('.picture')[side];
    showPicture(picture, file);
    picture.setAttribute('aria-label', files[file]);
    node.querySelectorAll('.file')[side].textContent = files[file];
    node.querySelectorAll('.of')[side].textContent = about(file);
  });
  const button = part('mark');
  const parts = { button, state: part('state'), others: part('others') };
  if (pair.equal) button.remove();
  else {
    button.textContent = pair.oneCell ? 'Not the same cell' : 'No neighbors';
    button.setAttribute('aria-label', `${button.textContent}: ${files[pair.first]} and ${files[pair.second]}`);
    button.addEventListener('click', () => {
      if (!marked.delete(pair.place)) marked.add(pair.place);
      changeMarks();
    });
  }
  parts.others.addEventListener('click', () => {
    controls.group.value = String(found.group[pair.first]);
    choose();
    byId('count').focus();
  });
  showState(pair, parts);
  cards.set(pair.place, parts);
  return node;
}

// The first pictures have a style each; the lines of the others are read when one of them is shown.
const blocks = [...document.querySelectorAll('.pictures')].map((node) => {
  let lines;
  return (place) => (lines ??= node.textContent.split('\n'))[place];
});

function showPicture(node, file) {
  const place = pictured.get(file);
  const later = place - audit.styled;
  if (place === undefined) node.textContent = 'left out, so that the page stays small';
  else if (later < 0) node.classList.add(`p${file}`);
  else node.style.backgroundImage = `url(${blocks[Math.floor(later / audit.block)](later % audit.block)})`;
}

const about = (file) => [
  labels[file] && `class ${labels[file]}`, groups[file] < audit.named && `group ${names[groups[file]]}`,
].filter(Boolean).join(', ');

function showState(pair, { button, state, others }) {
  const isMarked = marked.has(pair.place);
  const before = groups[pair.first] === groups[pair.second];
  const together = judged.group[pair.first] === judged.group[pair.second];
  button.setAttribute('aria-pressed', String(isMarked));
  state.textContent = [
    isMarked && 'Marked.',
    pair.equal && 'Equal pixels: no doubt, and no mark.',
    isMarked && before && `Both were in group ${names[groups[pair.first]]} before the audit, and stay there.`,
    isMarked && !before && together && 'Other pairs still join them.',
    isMarked && !together && 'No longer joined.',
  ].filter(Boolean).join(' ');
  others.hidden = !(isMarked && !before && together);
}

function showMore() {
  const from = byId('pairs').childElementCount;
  byId('pairs').append(...chosen.slice(from, from + STEP).map(cardOf));
  const left = chosen.length - byId('pairs').childElementCount;
  byId('more').hidden = !left;
  byId('more').textContent = `Show ${Math.min(left, STEP)} more`;
  const shown = chosen.length - left;
  byId('count').textContent = [
    chosen.length === pairs.length ? `All ${pairsOf(pairs.length)}` : `${pairsOf(chosen.length)} of ${pairs.length}`,
    left && `, the first ${shown} are shown`,
  ].filter(Boolean).join('');
}

// --- filters

const ORDERS = {
  doubt: (a, b) => a.place - b.place,
  least: (a, b) => a.score - b.score || a.place - b.place,
  most: (a, b) => b.score - a.score || a.place - b.place,
  kind: (a, b) => a.plain.localeCompare(b.plain, 'en') || a.place - b.place,
  file: (a, b) => a.first - b.first || a.second - b.second,
};

function choose() {
  const { kind, label, group, text, least, most, conflict, marked: only, order } = controls;
  const words = text.value.toLowerCase();
  const number = group.value && Number(group.value);
  chosen = pairs.filter((pair) =>
    (!kind.value || pair.plain === kind.value) &&
    (!label.value || either(pair, (file) => `=${labels[file]}` === label.value)) &&
    (number === '' || found.group[pair.first] === number || either(pair, (file) => groups[file] === number)) &&
    (!words || either(pair, (file) => `${files[file]} ${names[groups[file]]}`.toLowerCase().includes(words))) &&
    pair.score >= Number(least.value || 0) && pair.score <= Number(most.value || 1) &&
    (!conflict.checked || pair.conflict) && (!only.checked || marked.has(pair.place)),
  ).toSorted(ORDERS[order.value]);
  cards.clear();
  byId('pairs').replaceChildren();
  showMore();
}

// Options with how many pairs each leaves; what no pair has is none.
function fill(select, valuesOf, text) {
  const counts = new Map();
  for (const pair of pairs) for (const value of new Set(valuesOf(pair))) counts.set(value, (counts.get(value) ?? 0) + 1);
  const options = [...counts].map(([value, count]) => new Option(`${text(value)} (${count})`, String(value)));
  select.append(...options.toSorted((a, b) => a.text.localeCompare(b.text, 'en', { numeric: true })));
  select.closest('label').hidden = counts.size < 2;
}

// Those that the user named, and the one that the audit made of them.
const groupsOf = (pair) =>
  [found.group[pair.first], ...ends(pair).map((file) => groups[file]).filter((group) => group < audit.named)];

function fillAll() {
  fill(controls.kind, ({ plain }) => [plain], (kind) => kind);
  // '' is the option of all, and a label may be ''
  fill(controls.label, (pair) => ends(pair).map((file) => `=${labels[file]}`), (value) => value.slice(1));
  fill(controls.group, groupsOf, (group) => names[group]);
  controls.conflict.closest('label').hidden = !pairs.some(({ conflict }) => conflict);
}

function start() {
  remembered().forEach((place) => marked.add(place));
  fillAll();
  for (const control of Object.values(controls)) control.addEventListener('input', choose);
  byId('reset').addEventListener('click', () => {
    for (const control of Object.values(controls)) {
      if (control.type === 'checkbox') control.checked = false;
      else if (control.type === 'select-one') control.selectedIndex = 0;
      else control.value = '';
    }
    choose();
  });
  byId('more').addEventListener('click', showMore);
  byId('undo').addEventListener('click', () => {
    marked.clear();
    changeMarks();
  });
  byId('download').addEventListener('click', () => download('groups.csv', groupsCsv()));
  byId('not-same').addEventListener('click', () => download('not_same.csv', notSameCsv()));
  for (const node of document.querySelectorAll('.scripted')) node.hidden = false;
  for (const node of document.querySelectorAll('.plain')) node.hidden = true;
  choose();
  changeMarks();
}

start();
