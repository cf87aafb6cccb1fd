/** A colour for a name: always the same one, so that people and rooms are recognised before they are read. */

export interface Hue {
  /** Background of an avatar: dark enough for white text (4.5:1). */
  solid: string
  /** The light and the dark end of a tile without a picture. */
  from: string
  to: string
}

const HUES = [14, 42, 88, 150, 178, 208, 232, 268, 300, 336]

export function hueOf(name: string): Hue {
  let hash = 2166136261
  for (const char of name) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 16777619) >>> 0
  // FNV-1a leaves names that differ in their last letter close together: mix once more.
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b) >>> 0
  const hue = HUES[(hash >>> 8) % HUES.length]
  return {
    solid: `hsl(${hue} 42% 31%)`,
    from: `hsl(${hue} 22% 36%)`,
    to: `hsl(${hue} 28% 12%)`,
  }
}

/** One or two letters that stand for a name: `Ada Lovelace` is `AL`, `jonas` is `JO`. */
export function initials(name: string): string {
  const words = name.split(/[^\p{L}\p{N}]+/u).filter((word) => word !== '')
  const first = words[0]
  if (first === undefined) return '?'
  const second = words[1]
  const letters = second === undefined ? [...first].slice(0, 2) : [[...first][0], [...second][0]]
  return letters.join('').toLocaleUpperCase()
}
