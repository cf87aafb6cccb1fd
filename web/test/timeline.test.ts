import { expect, test } from 'vitest'
import type { TimelineEvent } from '../src/api'
import { copyInWords } from '../src/recordings'
import { cuesOf, marksOf, momentsOf } from '../src/timeline'

const told = (events: TimelineEvent[], length = 60) => momentsOf(events, length).map(({ at_s, words }) => `${at_s} ${words}`)

test('who is there at the beginning is one moment, and who comes and leaves is one each', () => {
  expect(
    told([
      { at_s: 0, event: 'joined', member: 1, name: 'Ada' },
      { at_s: 0, event: 'joined', member: 2, name: 'Bo' },
      { at_s: 0, event: 'track', track: 1, member: 1, source: 'camera', muted: false },
      { at_s: 8, event: 'joined', member: 3, name: '' },
      { at_s: 9, event: 'track', track: 7, member: 2, source: 'screen', muted: false },
      { at_s: 12, event: 'left', member: 2 },
      { at_s: 20, event: 'layout', layout: 'side-by-side' },
    ]),
  ).toEqual(['0 In the room: Ada, Bo', '8 Somebody came', '9 Bo shares a screen', '12 Bo left', '20 Arrangement: side by side'])
  const many: TimelineEvent[] = [...'ABCDEF'].map((name, member) => ({ at_s: 0, event: 'joined', member, name }))
  expect(told(many)).toEqual(['0 In the room: A, B, C, D and 2 more'])
})

test('speaking is told from three seconds on, once until somebody else does', () => {
  const speaking = (at_s: number, ...members: number[]): TimelineEvent => ({ at_s, event: 'speaking', members })
  const people: TimelineEvent[] = [
    { at_s: 1, event: 'joined', member: 1, name: 'Ada' },
    { at_s: 1, event: 'joined', member: 2, name: 'Bo' },
  ]
  const events = [...people, speaking(2, 1), speaking(4, 1, 2), speaking(6, 2), speaking(7, 1), speaking(15), speaking(20, 2)]
  expect(told(events, 24).slice(2)).toEqual(['2 Ada speaks', '20 Bo speaks'])
  expect(told(events, 22).slice(2)).toEqual(['2 Ada speaks'])
  const cut: TimelineEvent[] = [...events, { at_s: 0, event: 'layout', layout: 'grid' }, { at_s: 21, event: 'on_air', member: 2 }]
  expect(told(cut, 60).slice(2)).toEqual(['21 Bo in the picture'])
})

test('moments are marked on a bar, not at its very beginning, and not twice in one place', () => {
  const at = (...seconds: number[]) => seconds.map((at_s) => ({ at_s, words: '' }))
  expect(marksOf(at(0, 10, 10.1, 50, 100, 120), 100)).toEqual([0.1, 0.5, 1])
  expect(marksOf([], 0)).toEqual([])
  expect(marksOf(at(...Array.from({ length: 10_000 }, (_, index) => index)), 10_000).length).toBeLessThanOrEqual(200)
})

test('a copy elsewhere is told of in a sentence', () => {
  const to = 'the bucket archive'
  const say = (state: 'waiting' | 'done' | 'given up', note: string | null, next: string | null = null) => copyInWords({ state, to, note, next }, 'ready')
  expect(say('done', null)).toBe('Copied to the bucket archive: all of it was read back.')
  expect(say('waiting', null)).toBe('On its way to the bucket archive.')
  expect(say('waiting', 'no answer', '2026-11-22T18:00:00Z')).toMatch(/^Not yet copied to the bucket archive: no answer\. Tries again at .*\d.*\.$/)
  expect(say('given up', 'no answer')).toMatch(/no answer\. It is tried again when the server starts anew\.$/)
})

test('what was said is to be read for as long as that takes', () => {
  const said = (at_s: number, who: string, text: string): TimelineEvent => ({ at_s, event: 'said', who, text })
  const events = [said(1, 'Ada', 'Hello.'), said(3, '', 'x'.repeat(60)), said(9, 'Bo', 'x'.repeat(400))]
  expect(cuesOf([{ at_s: 0, event: 'gap' }, ...events]).map(({ at_s, until_s, words }) => [at_s, until_s, words.slice(0, 11)])).toEqual([
    [1, 3, 'Ada: Hello.'],
    [3, 7, 'xxxxxxxxxxx'],
    [9, 17, 'Bo: xxxxxxx'],
  ])
  expect(momentsOf(events, 20)).toEqual([])
})
