/** What viewers have reported, for who moderates the room: how many in the top line, and the list behind it. */
import { useState } from 'preact/hooks'
import type { Report } from '../api'
import { usePolled } from '../polling'
import { count, dayOf, timeOfDay } from '../times'
import { Dialog } from '../ui/Dialog'
import { Icon } from '../ui/Icon'
import { reasonInWords } from '../ui/reasons'
import type { House } from './house'
import './reported.css'

const LOOK_EVERY_MS = 10_000

export function Reported({ room, house }: { room: string; house: House }) {
  const polled = usePolled(`reports ${room}`, (signal) => house.reports(signal), () => LOOK_EVERY_MS)
  const [open, setOpen] = useState(false)
  const reports = polled.value?.reports ?? []

  async function done(report: Report) {
    await house.reportDone(report.id)
    polled.refresh()
  }

  return (
    <>
      <span class="reported" role="status">
        {reports.length > 0 && (
          <button type="button" class="button small outlined" data-testid="reported-button" onClick={() => setOpen(true)}>
            <Icon name="flag" />
            Reported: {count(reports.length)}
          </button>
        )}
      </span>
      {open && (
        <Dialog title="Reported by viewers" onClose={() => setOpen(false)} wide>
          <p>What strangers wrote. They do not learn whether it was read.</p>
          {reports.length === 0 && <p data-testid="no-reports">All are done.</p>}
          <ul class="reports" data-testid="reports">
            {reports.map((report) => (
              <li key={report.id}>
                <div>
                  <strong>{reasonInWords(report.reason)}</strong>
                  <small>
                    {dayOf(report.made)}
                    {report.at !== null && `, of what was shown at ${timeOfDay(Date.parse(report.at))}`}
                  </small>
                  {report.words !== '' && <p dir="auto">{report.words}</p>}
                </div>
                <button type="button" class="button small" onClick={() => void done(report)}>
                  Done
                  <span class="unseen">
                    : {reasonInWords(report.reason)}, {dayOf(report.made)}
                  </span>
                </button>
              </li>
            ))}
          </ul>
        </Dialog>
      )}
    </>
  )
}
