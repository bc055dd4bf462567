/** The settings of a run: against the defaults, and against another run. */
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import type { RunComparison, RunList, RunPage } from '../../studio/runs/api.ts'
import { get } from '../api.ts'
import { Card } from '../ui/Card.tsx'
import { EmptyState } from '../ui/EmptyState.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { Checkbox, Field, Select } from '../ui/Field.tsx'
import { Table } from '../ui/Table.tsx'
import { runsQuery } from './address.ts'
import { DifferencesTable } from './DifferencesTable.tsx'

export const SettingsTab = ({ name, page: { settings, facts } }: { name: string; page: RunPage }) => {
  const [all, setAll] = useState(false)
  const shown = settings.filter(({ isDefault }) => all || !isDefault)
  if (settings.length === 0 && facts.length === 0)
    return (
      <EmptyState title="No settings">
        <p>The tool that wrote this run did not keep its settings beside its curves.</p>
      </EmptyState>
    )
  return (
    <div className="stack">
      <Card
        title={all ? 'All settings' : 'Settings that are not the defaults'}
        actions={<Checkbox label={`Show all ${settings.length}`} checked={all} onChange={setAll} />}
      >
        <Table label="Settings">
          <thead>
            <tr>
              <th scope="col">Setting</th>
              <th scope="col">Value</th>
              <th scope="col">Default</th>
            </tr>
          </thead>
          <tbody>
            {shown.map(({ key, name: flag, value, default: usual, isDefault }) => (
              <tr key={key}>
                <th scope="row">{flag}</th>
                <td className={isDefault ? 'soft' : 'changed'}>
                  <bdi>{value}</bdi>
                </td>
                <td className="soft">
                  <bdi>{usual || '–'}</bdi>
                </td>
              </tr>
            ))}
          </tbody>
        </Table>
      </Card>
      <AgainstAnother name={name} />
      <Card title="What it was made with">
        <dl className="facts">
          {facts.map(([fact, value]) => (
            <div key={fact}>
              <dt>{fact}</dt>
              <dd>
                <bdi>{value}</bdi>
              </dd>
            </div>
          ))}
        </dl>
      </Card>
    </div>
  )
}

const AgainstAnother = ({ name }: { name: string }) => {
  const [other, setOther] = useState('')
  const list = useQuery({ queryKey: ['runs'], queryFn: () => get<RunList>('/runs') })
  const others = (list.data?.runs ?? []).map((row) => row.name).filter((each) => each !== name)
  const comparison = useQuery({
    queryKey: ['run-comparison', name, other],
    queryFn: () => get<RunComparison>(`/run-comparison?${runsQuery([name, other])}`),
    enabled: other !== '',
  })
  if (others.length === 0) return null
  return (
    <Card title="Against another run">
      <Field label="Other run" hideLabel>
        <Select
          value={other}
          onChange={setOther}
          options={[{ value: '', name: 'Choose a run' }, ...others.sort().map((each) => ({ value: each, name: each }))]}
        />
      </Field>
      {comparison.isError && <ErrorNote error={comparison.error} />}
      {comparison.data && <DifferencesTable comparison={comparison.data} />}
    </Card>
  )
}
