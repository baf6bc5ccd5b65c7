"Sphinx's settings for the course as a web page; tools/docs.py prepares the pages and runs it. Nothing on the site is fetched from elsewhere."
from html import escape

from latex2mathml.converter import convert

project = "rheumkit"
html_title = "rheumkit"
author = copyright = "The rheumkit contributors"
extensions = ["myst_nb"]
root_doc = "index"
exclude_patterns = []
html_domain_indices = False                   # the API page lists the modules
smartquotes = False
add_module_names = False
toc_object_entries_show_parents = "hide"

nb_execution_mode = "off"                      # the notebooks carry what they showed when they ran
nb_render_markdown_format = "myst"             # tables of lessons, with links between pages
nb_ipywidgets_js = {}                          # pages show static twins; nothing is loaded for widgets
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 4
myst_heading_slug_func = "docs.lab_anchor"       # links to headings are written as JupyterLab has them

html_theme = "pydata_sphinx_theme"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["rheumkit.css"]
html_favicon = "_static/favicon.svg"
templates_path = ["_templates"]
html_copy_source = html_show_sourcelink = html_show_sphinx = False
html_sidebars = {"index": [], "search": [], "genindex": []}
html_context = {"default_mode": "auto"}
html_theme_options = {
    "navbar_start": ["navbar-logo"], "navbar_center": ["navbar-nav"], "navbar_end": ["theme-switcher"], "navbar_persistent": ["search-button-field"],
    "primary_sidebar_end": [], "secondary_sidebar_items": ["page-toc"], "footer_start": ["promise"], "footer_center": [], "footer_end": ["copyright"],
    "show_nav_level": 2, "navigation_with_keys": False, "show_toc_level": 2, "back_to_top_button": False, "header_links_before_dropdown": 6,
}


def formula(display):
    "A visitor that writes a formula as MathML, which browsers show by themselves."
    def visit(self, node):
        from docutils.nodes import SkipNode
        text = node.astext()
        markup = convert(text, display="block" if display else "inline").replace("<math ", f'<math aria-label="{escape(text)}" ', 1)
        self.body.append(f'<div class="math">{markup}</div>' if display else markup)
        raise SkipNode
    return visit, None


def setup(app): app.add_html_math_renderer("mathml", formula(False), formula(True))
