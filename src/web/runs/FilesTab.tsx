/** The files of a run, to be saved one at a time. */
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import type { RunFile, RunPage } from '../../studio/runs/api.ts'
import { get } from '../api.ts'
import { Button } from '../ui/Button.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { ago, bytes } from '../ui/format.ts'
import { Table } from '../ui/Table.tsx'
import { runApi } from './address.ts'

const firstRows = 100

export const FilesTab = ({ name, page }: { name: string; page: RunPage }) => {
  const files = useQuery({ queryKey: ['run-files', name], queryFn: () => get<RunFile[]>(runApi(name, '/files')) })
  const [all, setAll] = useState(false)
  if (files.isError) return <ErrorNote error={files.error} />
  if (!files.data) return null
  const sum = files.data.reduce((total, file) => total + file.bytes, 0)
  const shown = all ? files.data : files.data.slice(0, firstRows)
  return (
    <div className="stack">
      <p className="soft">
        {files.data.length} files, {bytes(sum)}, in <code>{page.folder}</code>
      </p>
      <Table label="Files of the run">
        <thead>
          <tr>
            <th scope="col">File</th>
            <th scope="col" className="number">
              Size
            </th>
            <th scope="col">Changed</th>
          </tr>
        </thead>
        <tbody>
          {shown.map(({ path, bytes: size, changed }) => (
            <tr key={path}>
              <th scope="row">
                <a href={`/api${runApi(name, `/file?path=${encodeURIComponent(path)}`)}`} download>
                  <bdi>{path}</bdi>
                </a>
              </th>
              <td className="number">{bytes(size)}</td>
              <td className="soft nowrap">{ago(changed)}</td>
            </tr>
          ))}
        </tbody>
      </Table>
      {shown.length < files.data.length && (
        <Button onClick={() => setAll(true)}>Show all {files.data.length} files</Button>
      )}
    </div>
  )
}
