/** Builds the studio's page, src/web, into dist/web, which ships in the package. `npm run web:dev` serves it while it is changed. */
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

export default defineConfig({
  root: 'src/web',
  plugins: [react()],
  build: {
    outDir: '../../dist/web',
    emptyOutDir: true,
    target: 'es2023',
    // The content security policy allows no data: scripts or fonts
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The licences of all packages whose code the page contains
    license: { fileName: 'LICENSES.md' },
  },
  // A studio that runs: ATTUNE_STUDIO=http://127.0.0.1:8001 npm run web:dev
  server: { proxy: { '/api': { target: process.env.ATTUNE_STUDIO ?? 'http://127.0.0.1:8001', changeOrigin: true } } },
})
