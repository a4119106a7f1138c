'use strict';

// A grid of pictures with bars for their classes, put on the page a step at a time, so that thousands stay quick. The
// script of a page that has one follows it.
window.pictureGrid = {
  made: (tag, name, text) => {
    const element = document.createElement(tag);
    element.className = name;
    element.textContent = text; // text alone: a file name is never read as markup
    return element;
  },

  image: (bytes, words) => {
    const element = document.createElement('img');
    element.src = `data:image/jpeg;base64,${bytes}`;
    element.alt = words;
    return element;
  },

  percent: (share) => (share >= 0.9995 ? 'over 99.9%' : `${(100 * share).toFixed(1)}%`),

  bar: (words, share, color) => {
    const { made, percent } = window.pictureGrid;
    const line = made('div', 'chance', '');
    const track = made('span', 'track', '');
    const filled = made('span', 'filled', '');
    filled.style.width = `${100 * share}%`;
    if (color) filled.style.background = color;
    track.append(filled);
    line.append(made('span', 'class-name', words), track, made('span', 'share', percent(share)));
    return line;
  },

  // The grid of rows that `draw` makes figures of; `noun` is what each shows, and there are `total` in all.
  pages: (draw, noun, total) => {
    const step = 120;
    const grid = document.getElementById('grid');
    const more = document.getElementById('more');
    const shownLine = document.getElementById('status');
    let chosen = [];
    let shown = 0; // how many of the chosen are on the page
    const showMore = (place = shown) => {
      const next = chosen.slice(shown, place + step);
      grid.append(...next.map(draw));
      shown += next.length;
      more.hidden = shown === chosen.length;
      const all = chosen.length === total ? '' : ` (of ${total.toLocaleString('en')} in all)`;
      shownLine.textContent = chosen.length
        ? `${shown.toLocaleString('en')} of ${chosen.length.toLocaleString('en')} ${noun}s shown${all}`
        : `No ${noun} is so${all}`;
    };
    more.addEventListener('click', () => {
      const first = shown;
      showMore();
      // who came by keyboard goes on with the first new picture
      grid.children[first].tabIndex = -1;
      grid.children[first].focus({ preventScroll: true });
    });
    return {
      show: (rows) => {
        chosen = rows;
        shown = 0;
        grid.replaceChildren();
        showMore();
      },
      // The figure of one of the chosen rows, which is put on the page if need be.
      reach: (row) => {
        const place = chosen.indexOf(row);
        if (place >= shown) showMore(place);
        return grid.children[place];
      },
    };
  },
};
