/** What no other client's keys start with: 96 random bits. React Native has no source of them but `Math.random`. */
export function randomPrefix(random: () => number): string {
  const { crypto } = globalThis as { crypto?: Partial<Crypto> };
  const words = new Uint32Array(3).map(() => random() * 2 ** 32);
  crypto?.getRandomValues?.(words);
  return `${Array.from(words, (word) => word.toString(36)).join("")}-`;
}
