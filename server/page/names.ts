const manners = [
  "Quiet",
  "Swift",
  "Bright",
  "Gentle",
  "Clever",
  "Merry",
  "Bold",
  "Calm",
  "Lucky",
  "Patient",
  "Curious",
  "Sunny",
];
const birds = [
  "Heron",
  "Wren",
  "Falcon",
  "Robin",
  "Plover",
  "Swallow",
  "Lapwing",
  "Kestrel",
  "Finch",
  "Puffin",
  "Starling",
  "Owl",
];

/** Somebody's name, for as long as the page is open. */
export function randomName(): string {
  return `${oneOf(manners)} ${oneOf(birds)}`;
}

function oneOf(words: readonly string[]): string {
  return words[Math.floor(Math.random() * words.length)] ?? "";
}

/** A colour that a name keeps, of five that stand out on a light and a dark ground alike and carry white letters. */
export function hueOf(name: string): string {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + letter.charCodeAt(0)) % 9973;
  return ["#3d63dd", "#b4469b", "#0f7f78", "#a85a12", "#7a4fd0"][sum % 5] ?? "#3d63dd";
}
