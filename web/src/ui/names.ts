/** `Ada, Bo and Cy`; with more than four, `Ada, Bo, Cy and 9 others`. */
export function namesOf(people: { name: string; identity: string }[]): string {
  const names = people.map((person) => person.name || person.identity)
  if (names.length > 4) return `${names.slice(0, 3).join(', ')} and ${names.length - 3} others`
  if (names.length < 2) return names.join('')
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
}
