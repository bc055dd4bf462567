/**
 * The command `attune` for code blocks of documents.
 * Sends its command line to a process that has loaded attune already (see warm.ts); the first argument is its socket. A command with
 * environment variables of its own runs as a separate process.
 */
import { spawnSync } from 'node:child_process'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'

const [socket, ...argv] = process.argv.slice(2)
const own = Object.keys(process.env).some((name) => name.startsWith('ATTUNE_') && name !== 'ATTUNE_CACHE')

if (own) {
  const bin = fileURLToPath(new URL('../../bin/attune.js', import.meta.url))
  process.exitCode = spawnSync(process.execPath, [bin, ...argv], { stdio: 'inherit' }).status ?? 1
} else {
  let answer = ''
  connect(socket)
    .on('data', (chunk) => {
      answer += chunk
    })
    .on('end', () => {
      const { code, stdout, stderr } = JSON.parse(answer)
      process.stdout.on('error', () => {})
      process.stderr.write(stderr)
      process.stdout.write(stdout)
      process.exitCode = code ?? 1
    })
    .end(JSON.stringify({ argv, cwd: process.cwd(), cache: process.env.ATTUNE_CACHE }))
}
