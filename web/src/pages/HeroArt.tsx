/** Three people on a lit stage, and the house in front of them. A drawing: nothing in it is to be read. */
import { Seats } from '../ui/Seats'
import './hero.css'

const PEOPLE = ['first', 'second', 'third'] as const

export function HeroArt({ live }: { live: boolean }) {
  return (
    <div class="arena" aria-hidden="true">
      <Seats />
      <div class="arena-stage">
        {live && <span class="chip live">Live</span>}
        {PEOPLE.map((who) => (
          <div key={who} class={`drawn ${who}`}>
            <Person />
          </div>
        ))}
      </div>
    </div>
  )
}

function Person() {
  return (
    <svg viewBox="0 0 200 180">
      <path class="coat" d="M14 180c4-46 36-62 86-62s82 16 86 62Z" />
      <path class="neck" d="M82 92h36v34c-8 10-28 10-36 0Z" />
      <ellipse class="face" cx="100" cy="66" rx="37" ry="44" />
      <path class="hair" d="M61 66c-6-44 20-58 42-57 30 0 42 24 36 58-4-16-8-26-22-30-20 4-42 4-56 29Z" />
    </svg>
  )
}
