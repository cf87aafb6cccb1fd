/** The tiles of everybody: a grid, or shared screens with the people beside them. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { Icon } from '../ui/Icon'
import type { Call, MemberView } from './call'
import { gridLayout, type Area } from './layout'
import { Tile } from './Tile'
import './pictures.css'

const GAP_PX = 10
const PAGES_PX = 58

export function Pictures({ call }: { call: Call }) {
  const members = call.members.value
  const sharing = members.filter((member) => member.screen !== null)
  if (sharing.length === 0) return <Grid members={members} />
  return (
    <div class="with-screens">
      <div class="screens">
        {sharing.map((member) => (
          <Tile key={member.identity} member={member} source="screen" />
        ))}
      </div>
      <Grid members={members} />
    </div>
  )
}

function Grid({ members }: { members: MemberView[] }) {
  const frame = useRef<HTMLDivElement>(null)
  const area = useArea(frame)
  const [page, setPage] = useState(0)
  const whole = gridLayout(members.length, area, GAP_PX)
  // Pages need a line of their own, which is taken from the tiles.
  const layout =
    whole.perPage >= members.length ? whole : gridLayout(members.length, { ...area, height: area.height - PAGES_PX }, GAP_PX)
  const pages = Math.max(1, Math.ceil(members.length / layout.perPage))
  const at = Math.min(page, pages - 1)
  const shown = members.slice(at * layout.perPage, (at + 1) * layout.perPage)

  return (
    <div ref={frame} class={pages > 1 ? 'grid paged' : 'grid'}>
      <div class="grid-tiles" style={{ gap: `${GAP_PX}px`, maxWidth: `${layout.columns * (layout.tile.width + GAP_PX)}px` }}>
        {shown.map((member) => (
          <Tile key={member.identity} member={member} source="camera" size={layout.tile} />
        ))}
      </div>
      {pages > 1 && (
        <div class="grid-pages">
          <button type="button" class="button square" aria-label="People before" disabled={at === 0} onClick={() => setPage(at - 1)}>
            <Icon name="left" />
          </button>
          <span role="status">
            Page {at + 1} of {pages}
          </span>
          <button type="button" class="button square" aria-label="More people" disabled={at === pages - 1} onClick={() => setPage(at + 1)}>
            <Icon name="right" />
          </button>
        </div>
      )}
    </div>
  )
}

function useArea(frame: { current: HTMLElement | null }): Area {
  const [area, setArea] = useState<Area>({ width: 640, height: 360 })
  useEffect(() => {
    const element = frame.current
    if (!element) return
    const watching = new ResizeObserver(() => setArea({ width: element.clientWidth, height: element.clientHeight }))
    watching.observe(element)
    return () => watching.disconnect()
  }, [])
  return area
}
