import jupyter from '@jupyter/eslint-plugin';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    plugins: { jupyter },
    rules: {
      ...jupyter.configs.recommended[0].rules,
      // All of this package is smaller than most single chunks of Lab: one request is faster than several.
      'jupyter/prefer-lazy-imports': 'off',
      // Numbers in names of nodes and CSS values read well in templates.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // A handler that calls one function is one line.
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      // node:test's test() returns a promise that the runner itself awaits.
      '@typescript-eslint/no-floating-promises': [
        'error',
        { allowForKnownSafeCalls: [{ from: 'package', name: 'test', package: 'node:test' }] }
      ],
      '@typescript-eslint/naming-convention': [
        'error',
        { selector: 'interface', format: ['PascalCase'], custom: { regex: '^(I[A-Z]|JSON)', match: true } }
      ]
    }
  },
  {
    // What a document says is in the words of clnrm_nb, which are English wherever it speaks.
    files: ['src/model/**', 'src/__tests__/**'],
    rules: { 'jupyter/no-untranslated-string': 'off' }
  }
);
