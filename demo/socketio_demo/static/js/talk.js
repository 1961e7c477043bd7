// What a conversation looks like, on every page that has one.

const MOST_ROWS = 500;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

/** An element with a class and children; texts become text, never HTML. */
export function element(tag, className, ...children) {
  const node = document.createElement(tag);
  node.className = className;
  node.append(...children);
  return node;
}

/** The first letter of a name, on the name's own colour, or on another one. */
function avatar(name, colour) {
  const node = element("span", "avatar", [...name][0].toUpperCase());
  const hue = [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
  node.style.setProperty("--hue", hue);
  if (colour) node.style.background = colour;
  node.ariaHidden = "true";
  return node;
}

/** One of the people who are here. */
export function person(name, mine) {
  return element("li", mine ? "me" : "", avatar(name), element("span", "", name));
}

/** A row of the conversation. `by`: who has said it, where two people may have one name. */
export function said({ name, colour, text, time_ms }, mine, by = name) {
  const time = element("time", "", clock.format(time_ms));
  time.dateTime = new Date(time_ms).toISOString();
  const author = element("b", "", name);
  if (colour) author.style.setProperty("--colour", colour);
  const bubble = element("div", "bubble", element("p", "by", author, time), element("p", "text", text));
  const row = element("li", mine ? "row mine" : "row", avatar(name, colour), bubble);
  row.dataset.by = by;
  return row;
}

/** A row of the conversation: something has happened. */
export const happened = (text) => element("li", "announcement", text);

/** Put a row at the end. The last one stays in sight, unless the reader has scrolled up. */
export function append(list, row) {
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  // Several messages of one person in a row need the name only once.
  row.classList.toggle("more", "by" in row.dataset && list.lastElementChild?.dataset.by === row.dataset.by);
  list.append(row);
  if (list.childElementCount > MOST_ROWS) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

/** A phone's keyboard, or a turn of the phone, changes the height: the last row stays in sight. */
export function keepAtEnd(list) {
  new ResizeObserver(() => (list.scrollTop = list.scrollHeight)).observe(list);
}
