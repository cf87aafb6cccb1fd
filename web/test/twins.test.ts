import { expect, test } from 'vitest'
import { twins } from '../src/watch/twins'

test('a cue that comes once more with a time some microseconds off is a twin', () => {
  const cue = (startTime: number, text: string) => ({ startTime, text })
  const first = cue(53.173281111, 'Long 0')
  const again = cue(53.173284444, 'Long 0')
  const other = cue(53.173284444, 'Long 1')
  const later = cue(55.2, 'Long 0')
  expect(twins([first, again, other, later])).toEqual([again])
  expect(twins([first, other, again, again])).toEqual([again, again])
  expect(twins([])).toEqual([])
})
