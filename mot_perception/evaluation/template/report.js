'use strict';
const tip = document.getElementById('tip');

function show(event, text) {
  tip.textContent = text;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const x = Math.min(event.clientX + 14, innerWidth - width - 8);
  const above = event.clientY - height - 14;
  tip.style.left = `${Math.max(8, x)}px`;
  tip.style.top = `${above < 8 ? event.clientY + 18 : above}px`;
}

function readTrails(picture) {
  return [...picture.querySelectorAll('.trails path')].map((path) => {
    const [x, y, ...moves] = path.getAttribute('d').match(/-?\d+/g).map(Number);
    const points = [[x, y]];
    for (let k = 0; k < moves.length; k += 2) {
      const [px, py] = points[points.length - 1];
      points.push([px + moves[k], py + moves[k + 1]]);
    }
    return { path, points, id: Number(path.dataset.id), first: Number(path.dataset.first) };
  });
}

function place(trail, frame, step) {
  const at = (frame - trail.first) / step;
  const k = Math.floor(at);
  if (at < 0 || k + 1 >= trail.points.length) return null;
  const [a, b] = [trail.points[k], trail.points[k + 1]];
  return [a[0] + (at - k) * (b[0] - a[0]), a[1] + (at - k) * (b[1] - a[1])];
}

function connect(article) {
  const figure = article.querySelector('.timeline');
  const picture = article.querySelector('.picture');
  const bars = figure.querySelector('.bars');
  const follow = bars.querySelector('.follow');
  const now = bars.querySelector('.now');
  const dots = picture.querySelector('.dots');
  const data = JSON.parse(figure.querySelector('script').textContent);
  const radius = picture.querySelector('svg').viewBox.baseVal.width / 110;
  const runs = [];
  for (let k = 0; k < data.runs.length; k += 5) {
    const [line, id, first, last, state] = data.runs.slice(k, k + 5);
    runs.push({ line, id, first, last, state });
  }
  let trails = null;

  function scrub(frame, id) {
    trails ??= readTrails(picture);
    dots.replaceChildren();
    for (const trail of trails) {
      trail.path.classList.toggle('on', trail.id === id);
      const point = place(trail, frame, data.step);
      if (!point) continue;
      const dot = document.createElementNS('http://www.w3.org/2000/svg', 'circle');
      dot.setAttribute('class', trail.path.classList[0]);
      dot.setAttribute('cx', point[0]);
      dot.setAttribute('cy', point[1]);
      dot.setAttribute('r', trail.id === id ? radius * 1.6 : radius);
      dots.append(dot);
    }
    picture.classList.toggle('following', id !== null);
    picture.classList.add('scrubbing');
  }

  function highlight(id) {
    figure.classList.toggle('following', id !== null);
    follow.setAttribute('class', id === null ? 'follow' : `follow c${data.colours[id]}`);
    follow.setAttribute('d', id === null ? '' : runs.filter((run) => run.id === id).map((run) =>
      `M${run.first - 1} ${(run.line + 0.5) * data.height}h${run.last - run.first + 1}`).join(''));
  }

  function describe(frame, line, run) {
    const time = data.fps > 0 ? ` · ${((frame - 1) / data.fps).toFixed(2)} s` : '';
    const who = `${data.kind} ${data.lines[line]}`;
    const span = run && `\nframes ${run.first} to ${run.last}`;
    const state = run && data.states ? ` · ${data.states[run.state]}` : '';
    if (data.kind === 'track') return `${who}${state}\nframe ${frame}${time}${span ?? ''}`;
    return `${who}\nframe ${frame}${time}\n${run ? `identity ${run.id}${span}` : 'no identity'}`;
  }

  bars.addEventListener('pointermove', (event) => {
    const box = bars.getBoundingClientRect();
    const across = (event.clientX - box.left) / box.width;
    const frame = Math.min(data.length, Math.max(1, Math.ceil(across * data.length)));
    const line = Math.floor((event.clientY - box.top) / data.height);
    if (line < 0 || line >= data.lines.length) return;
    const run = runs.find((r) => r.line === line && r.first <= frame && frame <= r.last);
    const id = run ? run.id : null;
    highlight(id);
    scrub(frame, id);
    now.setAttribute('d', `M${frame - 0.5} 0V${data.lines.length * data.height}`);
    show(event, describe(frame, line, run));
  });

  bars.addEventListener('pointerleave', () => {
    highlight(null);
    picture.classList.remove('following', 'scrubbing');
    for (const trail of trails ?? []) trail.path.classList.remove('on');
    dots.replaceChildren();
    now.setAttribute('d', '');
    tip.hidden = true;
  });
}

document.querySelectorAll('.sequence').forEach(connect);
