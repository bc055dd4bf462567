/**
 * Writes NOTICE: the packages installed with attune, their licences, and the licence texts that packages do not include.
 * `npm run notice`, or `node docs/notice.mjs FILE` to write elsewhere. Reads package-lock.json and node_modules.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))

/** The copyright holders of packages that name a licence but include no text of it. */
const holders = {
  '@msgpackr-extract/msgpackr-extract-linux-x64': '2020 Kris Zyp',
  'gearhash-jit': 'the authors of gearhash-jit',
  '@libsql/linux-x64-gnu': 'the authors of libsql',
  '@libsql/linux-x64-musl': 'the authors of libsql',
  'onnxruntime-common': 'Microsoft Corporation',
  'onnxruntime-node': 'Microsoft Corporation',
  saxes: 'Isaac Z. Schlueter, Louis-Dominique Dubeau and contributors',
}

/** The licence in the old field `licenses` of package.json, which package-lock.json does not have. */
const oldLicense = (path) => JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8')).licenses?.[0]?.type

const shipped = Object.entries(packages).flatMap(([path, { version, license, dev, devOptional }]) =>
  path && !dev && !devOptional
    ? [{ path, name: path.replace(/^.*node_modules\//, ''), version, license: license ?? oldLicense(path) }]
    : [],
)

/** The same package for the processors and systems of others is installed there only. */
const withoutText = shipped.filter(
  ({ path }) =>
    existsSync(join(root, path)) && !readdirSync(join(root, path)).some((file) => /^(licen[cs]e|copying)/i.test(file)),
)

const mit = (holder) => `Copyright (c) ${holder}

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`

const isc = (holder) => `Copyright (c) ${holder}

Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted,
provided that the above copyright notice and this permission notice appear in all copies.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED
WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT, INDIRECT, OR
CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN ACTION OF
CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
`

const texts = { MIT: mit, ISC: isc }

const text = ({ name, license }) => {
  if (!texts[license] || !holders[name]) throw new Error(`${name} brings no licence text, and none is known here`)
  return `## ${name} (${license})\n\n${texts[license](holders[name])}`
}

const notice = [
  'attune is licensed under Apache-2.0 (LICENSE). The page of its studio (dist/web) contains code of others, whose licences are in',
  'dist/web/LICENSES.md; the rest contains none. These packages are installed with it:\n',
  ...shipped.map(({ name, version, license }) => `- ${name} ${version}: ${license}`),
  '\nEach brings the text of its licence, but for those below. The libraries inside onnxruntime-node are listed, with their',
  'licences, in ThirdPartyNotices.txt of github.com/microsoft/onnxruntime.\n',
  withoutText.map(text).join('\n'),
].join('\n')

writeFileSync(process.argv[2] ?? join(root, 'NOTICE'), notice)
