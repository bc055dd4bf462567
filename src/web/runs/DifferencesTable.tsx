/** The settings in which runs differ, a column for each run. */
import type { RunComparison } from '../../studio/runs/api.ts'
import { Table } from '../ui/Table.tsx'

export const DifferencesTable = ({ comparison: { runs, settings } }: { comparison: RunComparison }) =>
  settings.length === 0 ? (
    <p className="soft">All settings are the same.</p>
  ) : (
    <Table label="Settings that differ">
      <thead>
        <tr>
          <th scope="col">Setting</th>
          {runs.map(({ name }) => (
            <th key={name} scope="col">
              <bdi>{name}</bdi>
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {settings.map(({ key, name, values }) => (
          <tr key={key}>
            <th scope="row">{name}</th>
            {values.map((value, i) => (
              <td key={runs[i].name}>{value === null ? <span className="soft">unset</span> : <bdi>{value}</bdi>}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </Table>
  )
